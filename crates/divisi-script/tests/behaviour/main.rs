//! What scripts can count on, one test for each row of the dialect's tables.

mod play;

mod additions;
mod agent;
mod budget;
mod checks;
mod dialect;
mod errors;
mod flow;
mod groups;
mod limits;
mod locale;
mod looks;
mod options;
mod script;
mod timers;
mod workflow;
mod world;

mod shapes;
