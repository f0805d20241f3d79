//! Reads a segment: rows that cannot be wanted are left out step by step, each step reading the
//! columns that it looks at, of the rows that are left; then the columns of the question are read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::BooleanBufferBuilder;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::Encoding;
use parquet::file::metadata::ColumnChunkMetaData;
use pugmark_event::fields::{
    self, ATTRIBUTE_KINDS, ATTRIBUTES, EVENT_ID, EVENT_TIME, ISSUES, ORIGINAL, ORIGINAL_BYTES,
};

use super::assemble::{COMPOSITES, attribute_columns};
use super::events::{composite, conflicts_of, events, wide};
use super::file::SegmentFile;
use super::find::{Finder, Sieve, Sifted, fields_with_part, phrase_in};
use super::index::{BLOCK_ROWS, Blocks, GroupIndex, Index, Where, has_block};
use super::layout::{ATTRIBUTE_PREFIX, TEMPLATE};
use super::pages::GroupPages;
use super::{Segment, Tail};
use crate::codec::decode::{Decoder, Templates};
use crate::codec::words::{has_part, has_words, hash_value};
use crate::derived::ROW;
use crate::disk::DiskRead;
use crate::error::StoreError;
use crate::keep::{Keep, Phrase, record_schema};
use crate::meter::Meter;
use crate::scan::{AnyOf, PruneValue, Scan};

/// Rows are few where one in so many of their group is wanted: then their pages are kept.
const FEW_ROWS_SHARE: usize = 64;
/// Runs of wanted rows up to which they are few.
const RUNS_FEW: usize = 64;

/// What is to be read of one segment.
pub(crate) struct SegmentScan {
    pub(crate) scan: Arc<Scan>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn DiskRead>,
    pub(crate) tail: Arc<Tail>,
    /// Row groups that may hold a wanted row.
    pub(crate) groups: Vec<usize>,
    /// True when every row is wanted as far as times and ids go.
    pub(crate) all: bool,
    /// Counts the row groups of which something is read.
    pub(crate) meter: Option<Arc<Meter>>,
}

/// Rows of a row group that may still be wanted.
struct Left {
    /// A bit for each row of the group.
    rows: BooleanBuffer,
    /// Columns of these rows that a step has read and that are wanted too.
    read: Vec<RecordBatch>,
}

impl Left {
    fn all(rows: usize) -> Self {
        Self::of(BooleanBuffer::new_set(rows))
    }

    fn of(rows: BooleanBuffer) -> Self {
        Self { rows, read: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        is_unset(&self.rows)
    }
}

/// True when no bit is set.
fn is_unset(rows: &BooleanBuffer) -> bool {
    rows.set_indices().next().is_none()
}

/// A test of rows by some columns.
struct Step<'a> {
    /// Columns of the file that the test needs.
    columns: BTreeSet<String>,
    /// Those of them that are wanted of the rows that pass.
    wanted: BTreeSet<String>,
    /// Answers which rows of a batch pass.
    test: &'a mut dyn FnMut(&RecordBatch) -> Result<BooleanBuffer, StoreError>,
}

impl SegmentScan {
    /// The batches, each with exactly the columns of [`Scan::schema`].
    pub(crate) fn read(self) -> Result<Rows, StoreError> {
        let groups = self.groups.iter().map(|group| (*group, None)).collect();
        self.rows(groups)
    }

    /// The rows at these places, which a scan for [`ROW`] gave.
    pub(crate) fn take(self, places: &[i64]) -> Result<Rows, StoreError> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for place in places {
            let group = (place >> 32) as usize;
            groups.entry(group).or_default().push((place & 0xffff_ffff) as usize);
        }
        let groups = groups.into_iter().map(|(group, rows)| {
            let mut mask = BooleanBufferBuilder::new(self.group_rows(group));
            mask.append_n(self.group_rows(group), false);
            let rows = rows.into_iter().filter(|row| *row < self.group_rows(group));
            rows.for_each(|row| mask.set_bit(row, true));
            (group, Some(mask.finish()))
        });
        let groups = groups.collect();
        self.rows(groups)
    }

    fn rows(self, groups: VecDeque<(usize, Option<BooleanBuffer>)>) -> Result<Rows, StoreError> {
        let schema = self.scan.schema()?;
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let columns = self.needed(&names);
        let numbered = names.contains(&ROW);
        let known = Templates::of(&self.tail);
        Ok(Rows { scan: self, schema, columns, numbered, groups, open: None, known })
    }

    fn group_rows(&self, group: usize) -> usize {
        let groups = self.tail.footer.metadata().row_groups();
        groups.get(group).map_or(0, |group| group.num_rows() as usize)
    }

    /// The rows of a group that are wanted; `wanted` are columns worth keeping when they are read.
    fn left(
        &self,
        group: usize,
        wanted: &BTreeSet<String>,
        known: &mut Templates,
    ) -> Result<Left, StoreError> {
        let mut left = Left::all(self.group_rows(group));
        if let Some(index) = self.tail.index.as_ref().filter(|_| !self.scan.any_of.is_empty()) {
            left = Left::of(self.with_values(index, self.facts(index, group)?));
        }
        if !self.all && !left.is_empty() {
            let columns = [EVENT_TIME, EVENT_ID].map(|id| id.column().to_string());
            let mut test =
                |batch: &RecordBatch| Ok(self.scan.within(&wide(batch)?).values().clone());
            left = self.narrow(group, left, Step::new(columns.into(), wanted, &mut test))?;
        }
        if !self.scan.words.is_empty() && !left.is_empty() {
            left = Left::of(self.with_words(group, &left.rows, known)?);
        }
        if !self.scan.parts.is_empty() && !left.is_empty() {
            left = Left::of(self.with_parts(group, left.rows, known)?);
        }
        let sure = |keep: &Arc<dyn Keep>| keep.is_sure(&|column| self.is_full(group, column));
        let keep = self.scan.keep.as_ref().filter(|keep| !left.is_empty() && !sure(keep));
        let open = match keep {
            Some(keep) => self.open_templates(group, &keep.parts())?,
            None => None,
        };
        if let Some(open) = &open {
            left = self.of_templates(group, left, wanted, open)?;
        }
        if let (Some(keep), Some(schema)) = (keep, self.scan.keep_schema()?)
            && !left.is_empty()
        {
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            let mut test = |batch: &RecordBatch| {
                let held = (&schema, self.scan.dictionaries);
                let batch = events(&wide(batch)?, &self.tail.layout, known, held)?;
                Ok(keep.keep(&batch).values().clone())
            };
            let columns = self.needed_of(&names, open.as_deref());
            left = self.narrow(group, left, Step::new(columns, wanted, &mut test))?;
        }
        if self.scan.asks_records() && !left.is_empty() {
            left = self.by_records(group, left, known)?;
        }
        Ok(left)
    }

    /// Whether each row of a group has a value of its own in this column, as the footer says.
    fn is_full(&self, group: usize, column: &str) -> bool {
        let group = self.tail.footer.metadata().row_group(group);
        let is_it = |chunk: &&ColumnChunkMetaData| {
            let path = chunk.column_path().parts();
            path.len() == 1 && path[0] == column
        };
        let chunk = group.columns().iter().find(is_it);
        let nulls = chunk.and_then(|chunk| chunk.statistics()?.null_count_opt());
        nulls == Some(0)
    }

    /// For each template of the file whether the columns that it makes up may have the parts that
    /// they must; `None` where all may.
    fn open_templates(
        &self,
        group: usize,
        parts: &[(String, String)],
    ) -> Result<Option<Vec<bool>>, StoreError> {
        let (Some(index), Some(lookup)) = (&self.tail.index, &self.tail.lookup) else {
            return Ok(None);
        };
        let facts = (index, self.facts(index, group)?);
        let open = parts.iter().filter_map(|(column, part)| {
            let id = composite(column).filter(|id| !index.conflicts(*id))?;
            Some(fields_with_part(part, id, facts, lookup, &self.tail.layout))
        });
        let both = |a: Vec<bool>, b: Vec<bool>| -> Vec<bool> {
            a.into_iter().zip(b).map(|(a, b)| a && b).collect()
        };
        let open = open.reduce(both);
        Ok(open.filter(|open| open.contains(&false)))
    }

    /// Leaves out rows of templates that are not open.
    fn of_templates(
        &self,
        group: usize,
        left: Left,
        wanted: &BTreeSet<String>,
        open: &[bool],
    ) -> Result<Left, StoreError> {
        let Some(lookup) = &self.tail.lookup else { return Ok(left) };
        let mut verdict = |text: &str| (!open[lookup.place(text)?]).then_some(false);
        let mut test = |batch: &RecordBatch| {
            let sifted = self.by_templates(batch, &mut verdict);
            Ok(&sifted.yes | &sifted.perhaps)
        };
        self.narrow(group, left, Step::new([TEMPLATE.to_string()].into(), wanted, &mut test))
    }

    /// Rows whose record passes all tests, which are not put together where the template tells.
    fn by_records(
        &self,
        group: usize,
        left: Left,
        known: &mut Templates,
    ) -> Result<Left, StoreError> {
        let tests = self.scan.records.iter().filter(|test| test.words().is_none());
        let phrases: Option<Vec<Phrase<'_>>> = tests.map(|test| test.phrase()).collect();
        let (mut sure, mut left) = (BooleanBuffer::new_unset(left.rows.len()), left);
        if let Some(phrases) = phrases {
            let mut verdict = |text: &str| {
                let template = known.get(text)?;
                let each = phrases.iter().map(|phrase| phrase_in(&template, *phrase));
                each.reduce(|all, next| match (all, next) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                })?
            };
            let mut sift = |batch: &RecordBatch| self.by_templates(batch, &mut verdict);
            let columns = [TEMPLATE.to_string()].into();
            let (yes, perhaps) = self.sifted(group, &left.rows, &columns, &mut sift)?;
            if perhaps != left.rows {
                (sure, left) = (yes, Left::of(perhaps));
            }
        }
        if left.is_empty() {
            return Ok(Left::of(sure));
        }
        let columns = self.needed(&[ORIGINAL.column()]);
        let passes = |text: &str| self.scan.record_passes(text);
        let found = self.by_record(group, left, columns, known, &passes)?;
        match is_unset(&sure) {
            true => Ok(found),
            false => Ok(Left::of(&sure | &found.rows)),
        }
    }

    /// Tells rows apart by what the text of their template tells; of those without one nothing is
    /// known.
    fn by_templates(
        &self,
        batch: &RecordBatch,
        verdict: &mut dyn FnMut(&str) -> Option<bool>,
    ) -> Sifted {
        let decoder = Decoder::new(batch, &self.tail.layout);
        let texts = decoder.template_texts();
        let mut verdicts = vec![None; texts.map_or(0, Array::len)];
        Sifted::of(batch.num_rows(), |row| {
            let key = decoder.key(row)?;
            *verdicts[key].get_or_insert_with(|| verdict(texts?.value(key)))
        })
    }

    fn facts<'a>(&self, index: &'a Index, group: usize) -> Result<&'a GroupIndex, StoreError> {
        let fewer = || self.segment.damaged("its index has fewer row groups than the file");
        index.groups.get(group).ok_or_else(fewer)
    }

    /// Rows of the blocks that may have the values which are asked for.
    fn with_values(&self, index: &Index, group: &GroupIndex) -> BooleanBuffer {
        // A value that did not fit its column is not among the column's values.
        let fits =
            |any: &&AnyOf| !fields::by_name(&any.column).is_some_and(|id| index.conflicts(id));
        let asked = self.scan.any_of.iter().filter(fits);
        let places: Vec<(&AnyOf, Vec<Where>)> =
            asked.map(|any| (any, places(any, group))).collect();
        let may_have = |block: usize| {
            places.iter().all(|(any, places)| {
                any.values.iter().zip(places).any(|(value, place)| match place {
                    Where::Listed(blocks) => has_block(*blocks, block),
                    Where::Filtered => index.block_has(group, block, value_hash(value)),
                })
            })
        };
        rows_of_blocks(group.rows, (0..group.blocks()).filter(|block| may_have(*block)))
    }

    /// Those of `rows` whose record has every word of the question.
    fn with_words(
        &self,
        group: usize,
        rows: &BooleanBuffer,
        known: &mut Templates,
    ) -> Result<BooleanBuffer, StoreError> {
        let (Some(index), Some(lookup)) = (&self.tail.index, &self.tail.lookup) else {
            return self.with_words_whole(group, rows.clone(), known);
        };
        let facts = (index, self.facts(index, group)?);
        let finder = Finder::new(&self.scan.words, facts, lookup, &self.tail.layout);
        let starts = (0..facts.1.blocks()).map(|block| (block, block * BLOCK_ROWS));
        let open = starts.filter(|(_, start)| {
            let len = BLOCK_ROWS.min(rows.len().saturating_sub(*start));
            !is_unset(&rows.slice(*start, len))
        });
        let mut found = BooleanBuffer::new_unset(rows.len());
        for (sieve, blocks) in finder.sieves(open.map(|(block, _)| block)) {
            let rows = rows & &rows_of_blocks(rows.len(), blocks.into_iter());
            let (yes, perhaps) = self.sift(group, &rows, &sieve)?;
            found = &found | &yes;
            if perhaps.count_set_bits() > 0 {
                found = &found | &self.with_words_whole(group, perhaps, known)?;
            }
        }
        Ok(found)
    }

    /// Those of `rows` whose record has one of the parts that are asked for; all where the file
    /// does not say.
    fn with_parts(
        &self,
        group: usize,
        rows: BooleanBuffer,
        known: &mut Templates,
    ) -> Result<BooleanBuffer, StoreError> {
        let (Some(index), Some(lookup)) = (&self.tail.index, &self.tail.lookup) else {
            return Ok(rows);
        };
        let facts = (index, self.facts(index, group)?);
        let sieve = Sieve::of_parts(&self.scan.parts, facts, lookup, &self.tail.layout);
        let (yes, perhaps) = self.sift(group, &rows, &sieve)?;
        if is_unset(&perhaps) {
            return Ok(yes);
        }
        let has = |text: &str| {
            self.scan.parts.iter().any(|part| has_part(text.as_bytes(), part.as_bytes()))
        };
        let columns = sieve.open_columns(index);
        let left = self.by_record(group, Left::of(perhaps), columns, known, &has)?;
        Ok(&yes | &left.rows)
    }

    /// Rows that have all words, and rows whose record must be put together to know.
    fn sift(
        &self,
        group: usize,
        rows: &BooleanBuffer,
        sieve: &Sieve<'_>,
    ) -> Result<(BooleanBuffer, BooleanBuffer), StoreError> {
        let mut columns = BTreeSet::new();
        let mut by_template = |batch: &RecordBatch| sieve.by_template(batch, &mut columns);
        let (yes, open) = self.sifted(group, rows, &sieve.template_columns(), &mut by_template)?;
        if open.count_set_bits() == 0 || columns.is_empty() {
            return Ok((yes, open));
        }
        let mut by_value = |batch: &RecordBatch| sieve.by_value(batch);
        let (more, perhaps) = self.sifted(group, &open, &columns, &mut by_value)?;
        Ok((&yes | &more, perhaps))
    }

    fn sifted(
        &self,
        group: usize,
        rows: &BooleanBuffer,
        columns: &BTreeSet<String>,
        sift: &mut dyn FnMut(&RecordBatch) -> Sifted,
    ) -> Result<(BooleanBuffer, BooleanBuffer), StoreError> {
        let (mut yes, mut perhaps) = (BooleanBufferBuilder::new(0), BooleanBufferBuilder::new(0));
        for batch in self.open(group, rows, columns, false)? {
            let sifted = sift(&self.whole(batch)?);
            yes.append_buffer(&sifted.yes);
            perhaps.append_buffer(&sifted.perhaps);
        }
        Ok((among(rows, &yes.finish()), among(rows, &perhaps.finish())))
    }

    /// As [`SegmentScan::with_words`], putting each record together.
    fn with_words_whole(
        &self,
        group: usize,
        rows: BooleanBuffer,
        known: &mut Templates,
    ) -> Result<BooleanBuffer, StoreError> {
        let has = |text: &str| has_words(text.as_bytes(), &self.scan.words);
        let columns = self.needed(&[ORIGINAL.column()]);
        Ok(self.by_record(group, Left::of(rows), columns, known, &has)?.rows)
    }

    /// Rows that pass a test of the text of their record, which is put together from `columns`.
    fn by_record(
        &self,
        group: usize,
        left: Left,
        columns: BTreeSet<String>,
        known: &mut Templates,
        passes: &dyn Fn(&str) -> bool,
    ) -> Result<Left, StoreError> {
        let mut test = |batch: &RecordBatch| {
            let held = (&record_schema(), false);
            let records = events(&wide(batch)?, &self.tail.layout, known, held)?;
            let texts = records.column(0).as_string::<i32>();
            Ok(texts.iter().map(|text| text.is_some_and(passes)).collect())
        };
        self.narrow(group, left, Step::new(columns, &BTreeSet::new(), &mut test))
    }

    fn narrow(&self, group: usize, left: Left, step: Step<'_>) -> Result<Left, StoreError> {
        let mut passed = BooleanBufferBuilder::new(left.rows.len());
        let mut read = Vec::new();
        for batch in self.open(group, &left.rows, &step.columns, self.scan.dictionaries)? {
            let batch = self.whole(batch)?;
            let pass = (step.test)(&batch)?;
            passed.append_buffer(&pass);
            if pass.count_set_bits() > 0 && !step.wanted.is_empty() {
                let fields = batch.schema_ref().fields().iter().enumerate();
                let wanted = fields.filter(|(_, f)| step.wanted.contains(f.name()));
                let wanted: Vec<usize> = wanted.map(|(at, _)| at).collect();
                let pass = BooleanArray::new(pass, None);
                read.push(filter_record_batch(&batch.project(&wanted)?, &pass)?);
            }
        }
        let passed = passed.finish();
        if let Some(first) = left.read.first() {
            let before = concat_batches(first.schema_ref(), &left.read)?;
            let before = filter_record_batch(&before, &BooleanArray::new(passed.clone(), None))?;
            read = match read.is_empty() {
                true => vec![before],
                false => vec![beside(&before, &concat_batches(read[0].schema_ref(), &read)?)?],
            };
        }
        Ok(Left { rows: among(&left.rows, &passed), read })
    }

    fn whole(&self, batch: Result<RecordBatch, ArrowError>) -> Result<RecordBatch, StoreError> {
        batch.map_err(|error| self.segment.damaged(&error.to_string()))
    }

    /// The columns of the file that these columns of the question come from.
    fn needed(&self, names: &[&str]) -> BTreeSet<String> {
        self.needed_of(names, None)
    }

    /// The same for rows of open templates, and of none.
    fn needed_of(&self, names: &[&str], open: Option<&[bool]>) -> BTreeSet<String> {
        let mut columns = BTreeSet::new();
        let made_up = || [TEMPLATE, EVENT_TIME.column()].map(str::to_string);
        for name in names {
            match composite(name) {
                _ if *name == ORIGINAL.column() => {
                    columns.extend([ORIGINAL_BYTES.column().to_string(), name.to_string()]);
                    if let Some(lookup) = &self.tail.lookup {
                        columns.extend(lookup.record_columns().iter().cloned());
                        columns.extend(made_up());
                    }
                }
                Some(id) => {
                    columns.insert(name.to_string());
                    match (&self.tail.lookup, &self.tail.index, open) {
                        (Some(lookup), Some(index), Some(open)) => {
                            let facts = (index, &self.tail.layout);
                            columns.extend(lookup.composite_columns_of(id, open, facts));
                            columns.insert(TEMPLATE.to_string());
                        }
                        (Some(lookup), ..) => {
                            columns.extend(lookup.composite_columns(id).cloned());
                            columns.extend(made_up());
                        }
                        (None, ..) => {}
                    }
                }
                None if [ATTRIBUTES, ATTRIBUTE_KINDS.column()].contains(name) => {
                    self.attributes(self.scan.attributes.as_deref(), &mut columns);
                }
                None => match conflicts_of(name) {
                    Some(id) if self.tail.index.as_ref().is_none_or(|i| i.conflicts(id)) => {
                        self.attributes(None, &mut columns);
                        columns.insert(ISSUES.column().to_string());
                    }
                    Some(_) => {}
                    None => self.stored(name, &mut columns),
                },
            }
        }
        let schema = self.tail.footer.schema();
        columns.retain(|name| schema.column_with_name(name).is_some());
        columns
    }

    /// Adds the columns that a value is stored in, called as the index calls it.
    fn stored(&self, name: &str, columns: &mut BTreeSet<String>) {
        match name.strip_prefix(ATTRIBUTE_PREFIX) {
            Some(name) => {
                let map_has = |name: &str| self.map_has(name);
                attribute_columns(name, &self.tail.layout, map_has, columns);
                self.made_attributes(&|made| made == name, columns);
            }
            None => drop(columns.insert(name.to_string())),
        }
    }

    /// Adds the columns of these attributes, named in lower case, or of all. Which other names the
    /// map has is not known, so it is among them.
    fn attributes(&self, asked: Option<&BTreeSet<String>>, columns: &mut BTreeSet<String>) {
        let asked = |name: &str| {
            asked.is_none_or(|asked| {
                asked.contains(name) || asked.contains(&name.to_ascii_lowercase())
            })
        };
        let promoted = self.tail.layout.promoted.iter().filter(|p| asked(&p.name));
        columns.extend(promoted.map(|p| p.column.clone()));
        columns.extend([ATTRIBUTES.into(), ATTRIBUTE_KINDS.column().into()]);
        self.made_attributes(&asked, columns);
    }

    /// Adds the columns that templates make the attributes up of whose names are asked for.
    fn made_attributes(&self, asked: &dyn Fn(&str) -> bool, columns: &mut BTreeSet<String>) {
        let Some(lookup) = &self.tail.lookup else { return };
        let mut made = lookup.attribute_columns(asked).cloned().peekable();
        if made.peek().is_some() {
            columns.extend([TEMPLATE, EVENT_TIME.column()].map(str::to_string));
            columns.extend(made);
        }
    }

    fn map_has(&self, name: &str) -> bool {
        self.tail.index.as_ref().is_none_or(|index| index.in_map(name))
    }

    /// Those of the columns in which some row of the group has a value.
    fn with_values_in(&self, group: usize, columns: &BTreeSet<String>) -> BTreeSet<String> {
        let index = self.tail.index.as_ref().and_then(|index| index.groups.get(group));
        let has = |name: &&String| index.is_none_or(|index| index.has_column(name));
        columns.iter().filter(has).cloned().collect()
    }

    /// Reads these columns of these rows.
    fn open(
        &self,
        group: usize,
        rows: &BooleanBuffer,
        columns: &BTreeSet<String>,
        dictionaries: bool,
    ) -> Result<FileRows, StoreError> {
        let wanted = rows.count_set_bits();
        let columns = &self.with_values_in(group, columns);
        let schema = self.tail.footer.schema();
        let fields = schema.fields().iter().enumerate();
        let roots: Vec<usize> =
            fields.filter(|(_, f)| columns.contains(f.name())).map(|(i, _)| i).collect();
        if roots.is_empty() {
            return Ok(FileRows::Bare(wanted));
        }
        if let Some(meter) = &self.meter {
            meter.group_read(self.segment.info.ids.0, group, self.group_rows(group));
        }
        let failed = StoreError::parquet(&self.segment.path);
        let descriptor = self.tail.footer.parquet_schema();
        let mask = ProjectionMask::roots(descriptor, roots);
        let hint = match dictionaries && !columns.contains(TEMPLATE) {
            true => self.with_dictionaries(group, columns),
            false => schema.fields().clone(),
        };
        let levels =
            parquet_to_arrow_field_levels(descriptor, mask, Some(&hint)).map_err(&failed)?;
        let few = wanted <= rows.len() / FEW_ROWS_SHARE;
        let pages = GroupPages {
            file: SegmentFile(self.file.clone()),
            cache: self.segment.pages(),
            few,
            tail: self.tail.clone(),
            group,
        };
        let selection = (wanted < rows.len()).then(|| selection(rows));
        let size = wanted.clamp(1, BLOCK_ROWS);
        ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, size, selection)
            .map(FileRows::Read)
            .map_err(failed)
    }

    /// The fields of the file as they are for a reader that leaves text of few values as
    /// dictionaries.
    fn with_dictionaries(&self, group: usize, columns: &BTreeSet<String>) -> Fields {
        let chunks = self.tail.footer.metadata().row_group(group).columns();
        let fields = self.tail.footer.schema().fields().iter().map(|field| {
            let plain = *field.data_type() == DataType::Utf8 && may_be_dictionary(field.name());
            let asked = plain && columns.contains(field.name());
            let mut of_field =
                chunks.iter().filter(|c| c.column_path().parts() == [field.name().as_str()]);
            // A chunk that went without in the end would be put into a dictionary here.
            match asked && of_field.all(only_dictionary) {
                true => Arc::new(Field::new(field.name(), dictionary(), field.is_nullable())),
                false => field.clone(),
            }
        });
        fields.collect()
    }
}

/// Rows of a group as they are read.
enum FileRows {
    Read(ParquetRecordBatchReader),
    /// So many rows that have none of the columns.
    Bare(usize),
}

impl Iterator for FileRows {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            FileRows::Read(reader) => reader.next(),
            FileRows::Bare(0) => None,
            FileRows::Bare(left) => {
                let rows = BLOCK_ROWS.min(*left);
                *left -= rows;
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let schema = Arc::new(Schema::empty());
                Some(RecordBatch::try_new_with_options(schema, Vec::new(), &options))
            }
        }
    }
}

/// True for text that is given out as it is read. The others are taken apart or put together.
pub(super) fn may_be_dictionary(column: &str) -> bool {
    let internal = [ISSUES, ATTRIBUTE_KINDS, ORIGINAL].into_iter().chain(COMPOSITES);
    fields::by_name(column).is_some_and(|id| !internal.into_iter().any(|known| known == id))
}

fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// True when all values of a column chunk are in its dictionary.
pub(super) fn only_dictionary(chunk: &parquet::file::metadata::ColumnChunkMetaData) -> bool {
    let in_dictionary = |encoding: Encoding| {
        matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY)
    };
    match (chunk.page_encoding_stats_mask(), chunk.page_encoding_stats()) {
        (Some(mask), _) => mask.encodings().all(in_dictionary),
        (None, Some(pages)) => pages
            .iter()
            .filter(|page| page.page_type != parquet::basic::PageType::DICTIONARY_PAGE)
            .all(|page| in_dictionary(page.encoding)),
        (None, None) => false,
    }
}

impl<'a> Step<'a> {
    fn new(
        columns: BTreeSet<String>,
        wanted: &BTreeSet<String>,
        test: &'a mut dyn FnMut(&RecordBatch) -> Result<BooleanBuffer, StoreError>,
    ) -> Self {
        let wanted = columns.intersection(wanted).cloned().collect();
        Self { columns, wanted, test }
    }
}

/// The rows of these blocks.
fn rows_of_blocks(rows: usize, blocks: impl Iterator<Item = usize>) -> BooleanBuffer {
    let mut mask = BooleanBufferBuilder::new(rows);
    for block in blocks {
        let start = (block * BLOCK_ROWS).min(rows);
        mask.append_n(start.saturating_sub(mask.len()), false);
        mask.append_n(BLOCK_ROWS.min(rows - start), true);
    }
    mask.append_n(rows - mask.len(), false);
    mask.finish()
}

/// These rows as the reader wants them: it looks at masks bit by bit, so few runs are given as
/// such.
fn selection(rows: &BooleanBuffer) -> RowSelection {
    let runs: Vec<(usize, usize)> = rows.set_slices().take(RUNS_FEW + 1).collect();
    match runs.len() <= RUNS_FEW {
        true => {
            let runs = runs.into_iter().map(|(start, end)| start..end);
            RowSelection::from_consecutive_ranges(runs, rows.len())
        }
        false => RowSelection::from_boolean_buffer(rows.clone()),
    }
}

/// Of the set bits of `rows` those that `passed` has set, one bit for each of them.
fn among(rows: &BooleanBuffer, passed: &BooleanBuffer) -> BooleanBuffer {
    if passed.len() == rows.len() {
        return passed.clone();
    }
    if is_unset(passed) {
        return BooleanBuffer::new_unset(rows.len());
    }
    let mut mask = BooleanBufferBuilder::new(rows.len());
    mask.append_n(rows.len(), false);
    for (row, passed) in rows.set_indices().zip(passed.iter()) {
        if passed {
            mask.set_bit(row, true);
        }
    }
    mask.finish()
}

/// The columns of both.
fn beside(a: &RecordBatch, b: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let fields = a.schema_ref().fields().iter().chain(b.schema_ref().fields()).cloned();
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = a.columns().iter().chain(b.columns()).cloned().collect();
    let options = RecordBatchOptions::new().with_row_count(Some(a.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// The batches of a segment.
pub(crate) struct Rows {
    scan: SegmentScan,
    schema: SchemaRef,
    /// Columns of the file that the schema's come from.
    columns: BTreeSet<String>,
    /// True when the place of each row is asked for.
    numbered: bool,
    /// Row groups to read, where it is known the rows.
    groups: VecDeque<(usize, Option<BooleanBuffer>)>,
    open: Option<Open>,
    known: Templates,
}

/// The rows of one group, on their way out.
struct Open {
    /// The place of each row, where it is asked for.
    places: Option<RecordBatch>,
    /// How many of the rows are out.
    given: usize,
    source: Source,
}

enum Source {
    /// Everything that is wanted was read before.
    Read(VecDeque<RecordBatch>),
    /// The file, and what was read before of these rows.
    File(FileRows, Option<RecordBatch>),
}

impl Rows {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        loop {
            if self.open.is_none() {
                let Some((group, rows)) = self.groups.pop_front() else { return Ok(None) };
                self.open = self.open(group, rows)?;
                continue;
            }
            match self.batch()? {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    let layout = &self.scan.tail.layout;
                    let held = (&self.schema, self.scan.scan.dictionaries);
                    let batch = events(&wide(&batch)?, layout, &mut self.known, held)?;
                    return Ok(Some(batch));
                }
                None => self.open = None,
            }
        }
    }

    fn open(
        &mut self,
        group: usize,
        rows: Option<BooleanBuffer>,
    ) -> Result<Option<Open>, StoreError> {
        let left = match rows {
            Some(rows) => Left::of(rows),
            None => self.scan.left(group, &self.columns, &mut self.known)?,
        };
        if left.is_empty() {
            return Ok(None);
        }
        let mut missing = self.scan.with_values_in(group, &self.columns);
        for field in left.read.first().iter().flat_map(|batch| batch.schema_ref().fields()) {
            missing.remove(field.name());
        }
        let source = match left.read.first() {
            Some(_) if missing.is_empty() => Source::Read(left.read.into()),
            first => {
                let before = match first {
                    Some(first) => Some(concat_batches(first.schema_ref(), &left.read)?),
                    None => None,
                };
                let dictionaries = self.scan.scan.dictionaries && !self.columns.contains(TEMPLATE);
                Source::File(self.scan.open(group, &left.rows, &missing, dictionaries)?, before)
            }
        };
        let places = self.numbered.then(|| row_places(group, &left.rows)).transpose()?;
        Ok(Some(Open { places, given: 0, source }))
    }

    /// The next rows with the columns of the file.
    fn batch(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let batch = match &mut open.source {
            Source::Read(batches) => batches.pop_front(),
            Source::File(reader, before) => match reader.next() {
                None => None,
                Some(batch) => {
                    let batch = self.scan.whole(batch)?;
                    Some(match before {
                        Some(before) => {
                            beside(&before.slice(open.given, batch.num_rows()), &batch)?
                        }
                        None => batch,
                    })
                }
            },
        };
        let Some(batch) = batch else { return Ok(None) };
        let batch = match &open.places {
            Some(places) => beside(&places.slice(open.given, batch.num_rows()), &batch)?,
            None => batch,
        };
        open.given += batch.num_rows();
        Ok(Some(batch))
    }
}

/// The places of these rows of a group.
fn row_places(group: usize, rows: &BooleanBuffer) -> Result<RecordBatch, StoreError> {
    let group = (group as i64) << 32;
    let places: Int64Array = rows.set_indices().map(|row| group | row as i64).collect();
    Ok(RecordBatch::try_from_iter([(ROW, Arc::new(places) as ArrayRef)])?)
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch().transpose();
        if matches!(next, Some(Err(_))) {
            // Nothing sensible comes after an error.
            self.open = None;
            self.groups.clear();
        }
        next
    }
}

fn places(any: &AnyOf, group: &GroupIndex) -> Vec<Where> {
    let place = |value: &PruneValue| match value {
        PruneValue::Text(text) => group.value(&any.column, hash_value(text.as_bytes())),
        PruneValue::Long(_) => Where::Listed(Blocks::MAX),
    };
    any.values.iter().map(place).collect()
}

fn value_hash(value: &PruneValue) -> u64 {
    match value {
        PruneValue::Text(text) => hash_value(text.as_bytes()),
        PruneValue::Long(long) => hash_value(long.to_string().as_bytes()),
    }
}
