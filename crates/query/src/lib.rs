//! What is asked: text to AST to plan, the Search trait, and a naive evaluator as the oracle.
