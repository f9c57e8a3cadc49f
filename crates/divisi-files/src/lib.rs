//! Opens files from untrusted places.
//!
//! A folder that was cloned or unpacked can hold anything under any name: a pipe that waits for a
//! writer, a link to an endless device, a link to a secret, text in another encoding. divisi opens
//! every file whose name comes from a project, a flow or another file through this crate, so that
//! no name can block, fill the memory or lead outside of its folder:
//!
//! - only regular files, checked before and after they are opened;
//! - never more bytes than the caller permits;
//! - with a folder given, never a file to which links lead out of it;
//! - text is UTF-8; any other is refused with the position.
//!
//! A [`Refusal`] gives the reason in words; the caller adds the file's name. Out of scope: writing,
//! and files that models open (the engine's tools have their own protection).

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
