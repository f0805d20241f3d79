//! Expressions: values computed from the fields of a row.

mod display;
mod read;

pub(crate) use read::{COMPARISONS, Compared};

use std::sync::Arc;

use crate::cell::{Cell, Shape};
use crate::functions::{Call, Function, Made};
use crate::plan::FieldRef;
use crate::scope::Scope;

/// A value that is computed for each row.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// The value of a field.
    Field(FieldRef),
    /// This value.
    Literal(Cell),
    /// A regular expression: an argument of functions that know what to do with it.
    Regex(String),
    /// A function, or an operator, of values.
    Call(&'static Function, Vec<Expr>),
}

impl Expr {
    /// The field, where it is nothing else.
    pub fn field(&self) -> Option<&FieldRef> {
        match self {
            Expr::Field(field) => Some(field),
            _ => None,
        }
    }

    /// A call of the function of this name, which must be one.
    pub(crate) fn call(name: &str, args: Vec<Expr>) -> Option<Self> {
        Some(Expr::Call(crate::functions::by_name(name)?, args))
    }

    /// The arguments, if it is a call of this function.
    pub fn args_of(&self, name: &str) -> Option<&[Expr]> {
        match self {
            Expr::Call(function, args) if function.name == name => Some(args),
            _ => None,
        }
    }

    /// What its values are, where names stand for what `scope` says.
    pub fn shape(&self, scope: &Scope) -> Shape {
        match self {
            Expr::Field(field) => scope.shape(field),
            Expr::Literal(cell) => match cell {
                Cell::Long(_) => Shape::Long,
                Cell::Float(_) => Shape::Float,
                Cell::Time(_) => Shape::Time,
                Cell::Bool(_) => Shape::Bool,
                Cell::Text(_) | Cell::Null => Shape::Text,
            },
            Expr::Regex(_) => Shape::Text,
            Expr::Call(function, args) => {
                let shapes: Vec<Shape> = args.iter().map(|arg| arg.shape(scope)).collect();
                (function.shape)(&shapes)
            }
        }
    }

    /// Adds the fields that it reads, each once, in the order in which they first stand.
    pub fn fields<'a>(&'a self, found: &mut Vec<&'a FieldRef>) {
        match self {
            Expr::Field(field) if !found.contains(&field) => found.push(field),
            Expr::Field(_) | Expr::Literal(_) | Expr::Regex(_) => {}
            Expr::Call(_, args) => args.iter().for_each(|arg| arg.fields(found)),
        }
    }

    /// The same with every part that `change` has something else for replaced.
    pub(crate) fn replaced(&self, change: &dyn Fn(&Expr) -> Option<Expr>) -> Expr {
        if let Some(other) = change(self) {
            return other;
        }
        match self {
            Expr::Call(function, args) => {
                Expr::Call(function, args.iter().map(|arg| arg.replaced(change)).collect())
            }
            other => other.clone(),
        }
    }
}

/// An expression made ready: the fields that it reads have numbers.
pub struct Program {
    root: Node,
    fields: Vec<FieldRef>,
    shape: Shape,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("fields", &self.fields).finish_non_exhaustive()
    }
}

enum Node {
    Field(usize),
    Literal(Cell),
    Call(Ready, Vec<Node>),
}

enum Ready {
    Plain(fn(&[Cell]) -> Cell),
    Made(Made),
}

impl Program {
    /// Makes `expr` ready for rows of `scope`.
    ///
    /// # Errors
    /// With a sentence when a literal is not what its function takes.
    pub fn new(expr: &Expr, scope: &Scope) -> Result<Self, String> {
        let mut fields = Vec::new();
        expr.fields(&mut fields);
        let root = Node::new(expr, &fields)?;
        let fields = fields.into_iter().cloned().collect();
        Ok(Self { root, fields, shape: expr.shape(scope) })
    }

    /// The fields that it reads, in the order of their numbers.
    pub fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    /// What its values are.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The value for one row, of which `cell` gives the fields by their numbers.
    pub fn run(&self, cell: &dyn Fn(usize) -> Cell) -> Cell {
        self.shape.fit(self.root.run(cell))
    }
}

impl Node {
    fn new(expr: &Expr, fields: &[&FieldRef]) -> Result<Self, String> {
        Ok(match expr {
            Expr::Field(field) => {
                let place = fields.iter().position(|known| *known == field);
                place.map_or(Node::Literal(Cell::Null), Node::Field)
            }
            Expr::Literal(cell) => Node::Literal(cell.clone()),
            Expr::Regex(_) => Node::Literal(Cell::Null),
            Expr::Call(function, args) => {
                let ready = match &function.call {
                    Call::Plain(call) => Ready::Plain(*call),
                    Call::Made(make) => Ready::Made(Arc::clone(
                        &make(args).map_err(|message| format!("{}: {message}", function.name))?,
                    )),
                };
                let args = args.iter().map(|arg| Node::new(arg, fields));
                Node::Call(ready, args.collect::<Result<_, _>>()?)
            }
        })
    }

    fn run(&self, cell: &dyn Fn(usize) -> Cell) -> Cell {
        match self {
            Node::Field(number) => cell(*number),
            Node::Literal(cell) => cell.clone(),
            Node::Call(ready, args) => {
                let args: Vec<Cell> = args.iter().map(|arg| arg.run(cell)).collect();
                match ready {
                    Ready::Plain(call) => call(&args),
                    Ready::Made(call) => call(&args),
                }
            }
        }
    }
}
