//! Reads the dataclasses of `media/commands.py`.
//!
//! Errors name the field, what it held and what it takes. Keys, passwords and payloads are never shown.

use std::time::Duration;

use engine::command::{
    CaptureId, CaptureLimits, Codec, Command, Extension, Keys, Kind, SrtpProfile, Stream, SubscriptionDescription,
    SubscriptionId, TrackDescription, TrackId, TransportId,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyString, PyTuple};

/// Reads and checks a sequence of commands; nothing is taken where one of them is wrong.
pub(crate) fn read(commands: &Bound<'_, PyAny>) -> PyResult<Vec<Command>> {
    commands.try_iter()?.map(|command| read_one(&command?)).collect()
}

fn read_one(object: &Bound<'_, PyAny>) -> PyResult<Command> {
    let class = object.get_type().name()?.to_string();
    let fields = Fields { object, owner: &class };
    let transport = || fields.number("transport").map(TransportId);
    let track = || fields.number("track").map(TrackId);
    let subscription = || fields.number("subscription").map(SubscriptionId);
    let command = match class.as_str() {
        "OpenTransport" => Command::OpenTransport {
            transport: transport()?,
            local_ufrag: fields.text("local_ufrag")?,
            local_pwd: fields.secret_text("local_pwd")?,
        },
        "RestartIce" => Command::RestartIce {
            transport: transport()?,
            local_ufrag: fields.text("local_ufrag")?,
            local_pwd: fields.secret_text("local_pwd")?,
        },
        "SendDatagram" => Command::SendDatagram { transport: transport()?, data: fields.bytes("data")? },
        "SetKeys" => Command::SetKeys {
            transport: transport()?,
            keys: Keys {
                profile: fields.word(
                    "profile",
                    SrtpProfile::from_name,
                    "AEAD_AES_128_GCM, AEAD_AES_256_GCM or AES128_CM_HMAC_SHA1_80",
                )?,
                send_key: fields.bytes("send_key")?,
                send_salt: fields.bytes("send_salt")?,
                receive_key: fields.bytes("receive_key")?,
                receive_salt: fields.bytes("receive_salt")?,
            },
        },
        "StartCapture" => Command::StartCapture {
            transport: transport()?,
            capture: fields.number("capture").map(CaptureId)?,
            limits: CaptureLimits {
                wall_clock: fields.seconds("wall_clock")?,
                duration: fields.seconds("duration")?,
                bytes: fields.number("bytes")?,
            },
        },
        "StopCapture" => Command::StopCapture { transport: transport()? },
        "SetExtensions" => {
            Command::SetExtensions { transport: transport()?, extensions: fields.each("extensions", extension)? }
        }
        "AddTrack" => Command::AddTrack(TrackDescription {
            transport: transport()?,
            track: track()?,
            kind: fields.word("kind", kind, "\"audio\" or \"video\"")?,
            mid: fields.text("mid")?,
            codecs: fields.each("codecs", codec)?,
            layers: fields.texts("layers")?,
            streams: fields.each("streams", stream)?,
            measure_loudness: fields.flag("measure_loudness")?,
        }),
        "BlockTrack" => {
            Command::BlockTrack { transport: transport()?, track: track()?, blocked: fields.flag("blocked")? }
        }
        "SilenceTrack" => {
            Command::SilenceTrack { transport: transport()?, track: track()?, trailer: fields.bytes("trailer")? }
        }
        "RemoveTrack" => Command::RemoveTrack { transport: transport()?, track: track()? },
        "AddSubscription" => Command::AddSubscription(SubscriptionDescription {
            transport: transport()?,
            subscription: subscription()?,
            track_transport: fields.number("track_transport").map(TransportId)?,
            track: track()?,
            kind: fields.word("kind", kind, "\"audio\" or \"video\"")?,
            mid: fields.text("mid")?,
            ssrc: fields.number("ssrc")?,
            rtx_ssrc: fields.number("rtx_ssrc").map(non_zero)?,
            cname: fields.text("cname")?,
            codecs: fields.each("codecs", codec)?,
            extensions: fields.each("extensions", extension)?,
            cut_trailers: fields.flag("cut_trailers")?,
        }),
        "SetSubscription" => Command::SetSubscription {
            transport: transport()?,
            subscription: subscription()?,
            enabled: fields.flag("enabled")?,
            spatial_layer: fields.number("spatial_layer")?,
            temporal_layer: fields.number("temporal_layer")?,
            priority: fields.number("priority")?,
        },
        "AllowPauses" => Command::AllowPauses { transport: transport()?, allowed: fields.flag("allowed")? },
        "LimitBandwidth" => {
            Command::LimitBandwidth { transport: transport()?, bits_per_second: fields.number("bits_per_second")? }
        }
        "RemoveSubscription" => Command::RemoveSubscription {
            transport: transport()?,
            subscription: subscription()?,
            trailer: fields.bytes("trailer")?,
        },
        "CloseTransport" => Command::CloseTransport { transport: transport()? },
        _ => return Err(PyTypeError::new_err(format!("got {class}, expected a command of media.commands"))),
    };
    command.check().map_err(|error| PyValueError::new_err(format!("{class}.{error}")))?;
    Ok(command)
}

fn kind(word: &str) -> Option<Kind> {
    match word {
        "audio" => Some(Kind::Audio),
        "video" => Some(Kind::Video),
        _ => None,
    }
}

fn non_zero(ssrc: u32) -> Option<u32> {
    Some(ssrc).filter(|ssrc| *ssrc != 0)
}

fn codec(fields: &Fields<'_, '_>) -> PyResult<Codec> {
    Ok(Codec {
        payload_type: fields.number("payload_type")?,
        mime: fields.text("mime")?,
        clock_rate: fields.number("clock_rate")?,
        channels: fields.number("channels")?,
        fmtp: fields.text("fmtp")?,
        rtx_payload_type: fields.number_or_minus_one("rtx_payload_type")?,
        nack: fields.flag("nack")?,
        pli: fields.flag("pli")?,
        fir: fields.flag("fir")?,
        transport_cc: fields.flag("transport_cc")?,
    })
}

fn extension(fields: &Fields<'_, '_>) -> PyResult<Extension> {
    Ok(Extension { id: fields.number("id")?, uri: fields.text("uri")? })
}

fn stream(fields: &Fields<'_, '_>) -> PyResult<Stream> {
    Ok(Stream {
        ssrc: fields.number("ssrc")?,
        rtx_ssrc: fields.number("rtx_ssrc").map(non_zero)?,
        rid: Some(fields.text("rid")?).filter(|rid| !rid.is_empty()),
    })
}

/// An unsigned number of a command, with what to say of its range.
trait Number: TryFrom<u64> {
    const EXPECTED: &'static str;
}

impl Number for u8 {
    const EXPECTED: &'static str = "0 to 255";
}

impl Number for u32 {
    const EXPECTED: &'static str = "0 to 4294967295";
}

impl Number for u64 {
    const EXPECTED: &'static str = "0 to 18446744073709551615";
}

/// A Python object's attributes; errors call the object `owner`.
struct Fields<'a, 'py> {
    object: &'a Bound<'py, PyAny>,
    owner: &'a str,
}

impl<'py> Fields<'_, 'py> {
    fn number<T: Number>(&self, name: &str) -> PyResult<T> {
        let value = self.get(name)?;
        let number = value.cast::<PyInt>().ok().and_then(|int| int.extract::<u64>().ok());
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| self.wrong(name, &shown(&value), T::EXPECTED))
    }

    fn number_or_minus_one(&self, name: &str) -> PyResult<Option<u8>> {
        let value = self.get(name)?;
        match value.cast::<PyInt>().ok().and_then(|int| int.extract::<i64>().ok()) {
            Some(-1) => Ok(None),
            Some(number) if u8::try_from(number).is_ok() => Ok(u8::try_from(number).ok()),
            _ => Err(self.wrong(name, &shown(&value), "-1 to 255")),
        }
    }

    fn seconds(&self, name: &str) -> PyResult<Duration> {
        let value = self.get(name)?;
        let seconds = value.extract::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.ok_or_else(|| self.wrong(name, &shown(&value), "0 seconds or more"))
    }

    fn flag(&self, name: &str) -> PyResult<bool> {
        let value = self.get(name)?;
        match value.cast::<PyBool>() {
            Ok(flag) => Ok(flag.is_true()),
            Err(_) => Err(self.wrong(name, &shown(&value), "True or False")),
        }
    }

    fn text(&self, name: &str) -> PyResult<String> {
        let value = self.get(name)?;
        as_text(&value).ok_or_else(|| self.wrong(name, &shown(&value), "text"))
    }

    fn secret_text(&self, name: &str) -> PyResult<String> {
        let value = self.get(name)?;
        as_text(&value).ok_or_else(|| self.wrong(name, &class(&value), "text"))
    }

    fn bytes(&self, name: &str) -> PyResult<Vec<u8>> {
        let value = self.get(name)?;
        match value.cast::<PyBytes>() {
            Ok(bytes) => Ok(bytes.as_bytes().to_vec()),
            Err(_) => Err(self.wrong(name, &class(&value), "bytes")),
        }
    }

    /// One of several words.
    fn word<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>, expected: &str) -> PyResult<T> {
        let value = self.get(name)?;
        let parsed = as_text(&value).and_then(|word| parse(&word));
        parsed.ok_or_else(|| self.wrong(name, &shown(&value), expected))
    }

    /// A sequence of words.
    fn texts(&self, name: &str) -> PyResult<Vec<String>> {
        let read = |value: &Bound<'py, PyAny>, place: &str| {
            as_text(value).ok_or_else(|| self.wrong(place, &shown(value), "text"))
        };
        self.items(name)?.iter().enumerate().map(|(index, item)| read(item, &format!("{name}[{index}]"))).collect()
    }

    /// A sequence of objects.
    fn each<T>(&self, name: &str, read: impl Fn(&Fields<'_, 'py>) -> PyResult<T>) -> PyResult<Vec<T>> {
        let items = self.items(name)?;
        let read_item = |(index, object)| read(&Fields { object, owner: &format!("{}.{name}[{index}]", self.owner) });
        items.iter().enumerate().map(read_item).collect()
    }

    fn items(&self, name: &str) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let value = self.get(name)?;
        let sequence = value.cast::<PyTuple>().map(|tuple| tuple.iter().collect());
        sequence.map_err(|_| self.wrong(name, &class(&value), "a tuple"))
    }

    fn get(&self, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.object.getattr(name).map_err(|_| self.wrong(name, "nothing", "a value"))
    }

    fn wrong(&self, name: &str, received: &str, expected: &str) -> PyErr {
        PyValueError::new_err(format!("{}.{name}: got {received}, expected {expected}", self.owner))
    }
}

fn as_text(value: &Bound<'_, PyAny>) -> Option<String> {
    value.cast::<PyString>().ok().and_then(|text| text.to_str().ok().map(str::to_owned))
}

/// A value for an error, not longer than a line.
fn shown(value: &Bound<'_, PyAny>) -> String {
    match value.repr() {
        Ok(text) => text.to_string_lossy().chars().take(60).collect(),
        Err(_) => class(value),
    }
}

/// What kind of thing a secret value is.
fn class(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "an object".to_owned(), |name| name.to_string())
}
