//! What can be known of a flow before it runs.
//!
//! The [`Graph`] is what a flow requests when it runs on placeholders; all else is derived from it.

pub mod graph;
pub mod forecast;

pub mod checklist;
mod planned;

pub use checklist::{Checklist, Money, checklist};
pub use forecast::{Bounds, Forecast, Forecaster, Priors, TaskForecast};
pub use graph::{
    Assigned, AttemptCost, Graph, Group, Guess, Node, NullRead, Remark, Rights, Rung, Site,
    Unreached, Use,
};
pub use planned::of_plan;
