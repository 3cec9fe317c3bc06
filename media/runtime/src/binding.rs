//! The Python class `Engine` over `Runtime`. Whatever may block gives the GIL away first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::commands;
use crate::events::EventClasses;
use crate::latency;
use crate::runtime::{Runtime, Settings, StartError};

/// More media threads than any machine has cores for.
const MAX_SHARDS: u16 = 256;

/// The shards, their threads and their ports.
#[pyclass(frozen, module = "media._engine")]
struct Engine {
    runtime: Runtime,
    events: EventClasses,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (addresses, udp_port, shards, idle_timeout, tcp_port=None))]
    fn new(
        py: Python<'_>,
        addresses: Vec<String>,
        udp_port: i64,
        shards: i64,
        idle_timeout: f64,
        tcp_port: Option<i64>,
    ) -> PyResult<Self> {
        let settings = settings(&addresses, udp_port, shards, idle_timeout, tcp_port)?;
        let events = EventClasses::import(py)?;
        let runtime = py.detach(|| Runtime::start(&settings)).map_err(os_error)?;
        let logger = py.import("logging")?.call_method1("getLogger", ("media",))?;
        for warning in runtime.warnings() {
            logger.call_method1("warning", ("%s", warning))?;
        }
        Ok(Self { runtime, events })
    }

    #[getter]
    fn udp_port(&self) -> u16 {
        self.runtime.udp_port()
    }

    #[getter]
    fn tcp_port(&self) -> Option<u16> {
        self.runtime.tcp_port()
    }

    #[getter]
    fn shards(&self) -> u16 {
        self.runtime.shards()
    }

    /// An eventfd that is readable while events wait.
    fn fileno(&self) -> RawFd {
        self.runtime.descriptor()
    }

    /// Hands commands over in order. Raises ValueError, naming field and value, before any of them is taken.
    fn submit(&self, commands: &Bound<'_, PyAny>) -> PyResult<()> {
        let commands = commands::read(commands)?;
        if self.runtime.submit(commands) { Ok(()) } else { Err(PyRuntimeError::new_err("the engine is closed")) }
    }

    /// Takes all waiting events and clears the descriptor.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.runtime.drain().into_iter().map(|notice| self.events.build(py, notice)).collect()
    }

    /// Totals over all shards since the start.
    fn counters(&self, py: Python<'_>) -> BTreeMap<&'static str, u64> {
        py.detach(|| self.runtime.counters())
    }

    /// How long packets spent in the server since the start: upper ends of buckets, samples in each, their sum.
    fn forward_latency(&self, py: Python<'_>) -> (Vec<u64>, Vec<u64>, u64) {
        let latency = py.detach(|| self.runtime.latency());
        (latency::BOUNDS.to_vec(), latency.counts.to_vec(), latency.sum)
    }

    /// Stops the threads and frees the ports; safe to call twice.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.runtime.close());
    }

    /// Makes a shard panic, so that tests see what follows.
    fn _panic_shard(&self, shard: u16) -> PyResult<()> {
        if self.runtime.panic_shard(shard) {
            Ok(())
        } else {
            Err(PyValueError::new_err(format!("shard: got {shard}, expected 0 to {}", self.runtime.shards() - 1)))
        }
    }
}

fn settings(
    addresses: &[String],
    udp_port: i64,
    shards: i64,
    idle_timeout: f64,
    tcp_port: Option<i64>,
) -> PyResult<Settings> {
    let wrong = |field: &str, received: String, expected: &str| {
        PyValueError::new_err(format!("{field}: got {received}, expected {expected}"))
    };
    let parse = |text: &String| {
        text.parse::<IpAddr>()
            .map_err(|_| wrong("addresses", format!("{text:?}"), "IP addresses such as 127.0.0.1 or ::"))
    };
    let addresses = addresses.iter().map(parse).collect::<PyResult<Vec<_>>>()?;
    if addresses.is_empty() {
        return Err(wrong("addresses", "none".into(), "one IP address or more"));
    }
    let port = |field, number: i64| u16::try_from(number).map_err(|_| wrong(field, number.to_string(), "0 to 65535"));
    let udp_port = port("udp_port", udp_port)?;
    let tcp_port = tcp_port.map(|number| port("tcp_port", number)).transpose()?;
    let shards = u16::try_from(shards)
        .ok()
        .filter(|shards| (1..=MAX_SHARDS).contains(shards))
        .ok_or_else(|| wrong("shards", shards.to_string(), "1 to 256"))?;
    let idle_timeout = Duration::try_from_secs_f64(idle_timeout)
        .ok()
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| wrong("idle_timeout", idle_timeout.to_string(), "more than 0 seconds"))?;
    Ok(Settings { addresses, udp_port, tcp_port, shards, idle_timeout, segments: true })
}

/// With a number Python makes the fitting subclass of OSError; the address stands where a file's name would.
fn os_error(error: StartError) -> PyErr {
    let Some(number) = error.source.raw_os_error() else { return PyOSError::new_err(error.to_string()) };
    let text = error.source.to_string();
    let text = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text).to_owned();
    match error.address {
        Some((carrier, address)) => PyOSError::new_err((number, text, format!("{carrier} {address}"))),
        None => PyOSError::new_err((number, text)),
    }
}

/// The packet engine: media threads behind one class.
#[pymodule(gil_used = false)]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()
}
