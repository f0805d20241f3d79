//! The run loop: intake, pipeline, detection on the stream, hunts, reports.
