//! How far a load is, on a terminal; silent elsewhere.

use std::io::IsTerminal;

use holm_runtime::image::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// A callback that draws on standard error when that is a terminal and `quiet` is not asked for.
pub(crate) fn reporter(quiet: bool) -> Box<dyn FnMut(Progress)> {
    if quiet || !std::io::stderr().is_terminal() {
        return Box::new(|_| {});
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:40}] {bytes}/{total_bytes}") {
        bar.set_style(style.progress_chars("=> "));
    }
    Box::new(move |progress| match progress {
        Progress::Spooling { bytes } => {
            bar.set_message("receiving");
            bar.set_position(bytes);
        }
        Progress::Layer { diff_id, read_bytes, total_bytes, .. } => {
            bar.set_message(diff_id.short());
            bar.set_length(total_bytes);
            bar.set_position(read_bytes);
            if read_bytes == total_bytes {
                bar.finish_and_clear();
            }
        }
        Progress::LayerExists { .. } | Progress::LayerDone { .. } | Progress::Found { .. } => {}
    })
}
