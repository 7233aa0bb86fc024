//! How long a client waits for an API server that says nothing.

use std::time::Duration;

/// Longer than a watch: one that has nothing to tell is ended by the server, in order.
const BEYOND_A_WATCH: Duration = Duration::from_secs(15);

/// Gives up a request to which nothing is answered: without this a connection that is dead and does not know it holds up a visit for ever.
pub fn be_patient(config: &mut kube::Config, watch: Duration) {
    config.read_timeout = Some(watch + BEYOND_A_WATCH);
    // It counts from the request, and not from when its connection fell idle.
    config.reset_reader_on_write = true;
}
