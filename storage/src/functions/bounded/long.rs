//! Calls that take long, and how many of them run at a time.

use std::time::Duration;

use datafusion::common::Result;
use parking_lot::{Condvar, Mutex};
use watershed_core::interrupt;

use crate::error::into_datafusion;

/// How often a long call that waits for others looks at that.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Long calls that run in this process. As many as there are threads leave a share of the processors to what is short.
static LONG_CALLS: (Mutex<LongCalls>, Condvar) =
    (Mutex::new(LongCalls { running: 0, most: 2 }), Condvar::new());

struct LongCalls {
    running: usize,
    most: usize,
}

/// A long call that runs.
pub(super) struct LongCall;

impl LongCall {
    /// Sets how many there may be at a time.
    pub(super) fn set_most(most: usize) {
        LONG_CALLS.0.lock().most = most.max(1);
    }

    /// Waits until there are few enough of them.
    pub(super) fn begin() -> Result<Self> {
        let (calls, ended) = &LONG_CALLS;
        let mut calls = calls.lock();
        while calls.running >= calls.most {
            ended.wait_for(&mut calls, LOOK_INTERVAL);
            interrupt::check().map_err(into_datafusion)?;
        }
        calls.running += 1;
        Ok(Self)
    }
}

impl Drop for LongCall {
    fn drop(&mut self) {
        let (calls, ended) = &LONG_CALLS;
        calls.lock().running -= 1;
        ended.notify_one();
    }
}
