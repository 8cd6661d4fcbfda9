//! Foreign code runs in a child: this executable again, with a hidden subcommand.
//!
//! The child speaks JSON lines on its standard output: `{"stage": ".."}` before each risky call, `{"part": ..}` as it
//! goes, `{"result": ..}` at the end. A crash, a hang or a flood is an [`End`], with the stage it happened in.

mod child;
mod facts;
pub mod library;
mod parent;
pub mod place;

pub use child::{Reporter, enter};
pub use facts::{account, lay_over};
pub use parent::{Child, End, Report, run, run_program, start};

/// The hidden subcommand that turns this executable into a child.
pub const SUBCOMMAND: &str = "__child";
