//! How files are opened that somebody else has put there.
//!
//! A folder that was cloned or unpacked can hold anything under any name: a pipe
//! that waits for a writer, a link to an endless device, a link to a secret, a
//! text in another encoding. Everything that divisi reads by a name which a
//! project, a flow or a file decides is opened here, so that no such name can
//! block, fill the memory or lead to another place than the one meant:
//!
//! - only regular files, looked at before and after they are opened;
//! - never more bytes than the caller names;
//! - where a folder is given, nothing that links lead out of it;
//! - text is UTF-8, and what is none is refused with the place.
//!
//! A [`Refusal`] says why in words; which file it was is the caller's to say.
//! Left out on purpose: writing, and what models open (the tools of the engine
//! have a wall of their own).

#[cfg(not(unix))]
compile_error!(
    "divisi needs a Unix system, such as Linux or macOS; on Windows, build it within WSL"
);

#[cfg(unix)]
mod open;
#[cfg(unix)]
mod text;
#[cfg(unix)]
mod walk;
#[cfg(unix)]
mod repository;

#[cfg(unix)]
pub use open::{Refusal, open, open_below, read, read_below, read_typed};
#[cfg(unix)]
pub use repository::{repository, up_to_repository};
#[cfg(unix)]
pub use text::{source, text, utf8};
#[cfg(unix)]
pub use walk::{Files, Limits, files_below};
