//! What scripts can count on, one test for each row of the dialect's tables.

mod play;

mod additions;
mod agent;
mod budget;
mod checks;
mod errors;
mod flow;
mod groups;
mod limits;
mod looks;
mod options;
mod script;
mod workflow;
mod world;

mod shapes;
