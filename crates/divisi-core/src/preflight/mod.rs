//! What can be said of a flow before it runs.
//!
//! The [`Graph`] is what a flow asks for when it is run against placeholders;
//! everything else here reads it.

pub mod graph;
pub mod forecast;

pub use forecast::{Bounds, Estimate, EstimateError, Forecast, Forecaster, Priors, Spread, TaskForecast};
pub use graph::{Assigned, Graph, Group, GroupKind, Node, NullRead, Open, Rung, Site, Use};
