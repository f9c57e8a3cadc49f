//! Providers: chosen from the settings, the keys that are set and the model servers on this
//! machine.

mod candidate;
mod default;
mod kept;

mod choose;
mod ahead;

pub use ahead::choose_ahead;
pub use candidate::{Candidate, Found, candidates, local_candidates};
pub use choose::{AnswerMode, choose};
pub(crate) use choose::{Answering, choose_again, choose_first, of_demo};
pub use default::candidates_with_tiers;
pub use kept::Vendors;
