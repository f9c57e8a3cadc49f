//! What can be said of a flow before it runs.
//!
//! The [`Graph`] is what a flow asks for when it is run against placeholders;
//! everything else here reads it.

pub mod graph;
pub mod forecast;

pub mod checklist;
mod planned;

pub use checklist::{Checklist, Money, checklist};
pub use forecast::{Bounds, Forecast, Forecaster, Priors, TaskForecast};
pub use graph::{Assigned, AttemptCost, Graph, Group, Node, NullRead, Remark, Rung, Site, Use};
pub use planned::of_plan;
