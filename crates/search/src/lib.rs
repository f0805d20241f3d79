//! Answers plans and SQL over the store with DataFusion.
