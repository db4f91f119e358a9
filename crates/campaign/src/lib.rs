//! A campaign: many runs of one scenario file with different seeds, and one dataset of all.
//!
//! What is planned ([`planned`]) follows from the file and the first seed alone. What is done stands in
//! the campaign's folder ([`journal`]), so that a campaign that was killed goes on where it was.
//! Starting the runs is the program's part; what they came to is reckoned here ([`figures`]).

pub mod disk;
mod error;
pub mod figures;
pub mod journal;
pub mod planned;

pub use error::CampaignError;
