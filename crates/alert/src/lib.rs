//! Detections to alerts: a pure fold.
