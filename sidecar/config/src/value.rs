//! Values with a unit and one text form each.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration as people write it: `5s`, `100ms`, `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

impl Span {
    /// Some milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Some seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(signed) => write!(f, "{signed:#}"),
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "`{text}` is not a duration (a number with a unit, for example 5s, 100ms, 1m 30s)"
            )
        };
        let starts_with_digit = text.trim_start().starts_with(|c: char| c.is_ascii_digit());
        let signed: SignedDuration = text
            .trim()
            .parse()
            .ok()
            .filter(|_| starts_with_digit)
            .ok_or_else(form)?;
        Duration::try_from(signed).map(Self).map_err(|_| form())
    }
}

/// A number of bytes: `4Mi`, `512Ki`, `1Gi`, or plainly `4194304`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many KiB.
    pub const fn kib(kib: u64) -> Self {
        Self(kib * 1024)
    }

    /// So many MiB.
    pub const fn mib(mib: u64) -> Self {
        Self(mib * 1024 * 1024)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Units, the largest first: 1024 to the power of 3, 2, 1.
const UNITS: [(&str, u32); 3] = [("Gi", 3), ("Mi", 2), ("Ki", 1)];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, power) in UNITS {
            let factor = 1024_u64.pow(power);
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        self.0.fmt(f)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "`{text}` is not a size (bytes, or a number with Ki, Mi or Gi, for example 4Mi)"
            )
        };
        let (digits, factor) = UNITS
            .iter()
            .find_map(|(unit, power)| Some((text.strip_suffix(unit)?, 1024_u64.pow(*power))))
            .unwrap_or((text, 1));
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        let number: u64 = digits.parse().map_err(|_| form())?;
        number.checked_mul(factor).map(Self).ok_or_else(form)
    }
}

/// Where another location is reached: `HOST:PORT`, an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// The host, an IPv6 address with its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HOST_BYTES_MAX: usize = 253;
        let form = || {
            format!(
                "`{text}` is not HOST:PORT (for example orders.eu.example.com:7443 or [::1]:7443)"
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let port: u16 = port.parse().ok().filter(|p| *p > 0).ok_or_else(form)?;
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let good = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.len() <= HOST_BYTES_MAX
                    && host
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            }
        };
        if good {
            let host = host.to_owned();
            Ok(Self { host, port })
        } else {
            Err(form())
        }
    }
}

/// A 64-bit hash: 16 lowercase hexadecimal digits, in quotes (YAML would take some of them for numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash64(pub u64);

impl fmt::Display for Hash64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Hash64 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 16 && text.bytes().all(digits) {
            u64::from_str_radix(text, 16)
                .map(Self)
                .map_err(|e| e.to_string())
        } else {
            Err(format!(
                "`{text}` is not a hash (16 lowercase hexadecimal digits in quotes)"
            ))
        }
    }
}

/// A text that is not shown in logs and errors.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The text form for serde, and the name of the type in the reference. The text is judged while it is read, so that an error has the line and
/// the path of the value.
macro_rules! text_form {
    ($($name:ident: $title:literal)+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "text: {}", $title)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }

        described!($name: $title);
    )+};
}

macro_rules! described {
    ($name:ident: $title:literal) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "title": $title})
            }
        }
    };
}

text_form! {
    Span: "duration"
    Endpoint: "HOST:PORT"
    Hash64: "16 hexadecimal digits"
    ByteSize: "size"
}
described!(Secret: "text");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, millis, shown) in [
            ("5s", 5_000, "5s"),
            ("100ms", 100, "100ms"),
            ("1m 30s", 90_000, "1m 30s"),
            ("1m30s", 90_000, "1m 30s"),
            ("2h", 7_200_000, "2h"),
            ("0s", 0, "0s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span, Span::millis(millis), "{text}");
            assert_eq!(span.to_string(), shown);
        }
        for bad in ["5", "", "-5s", "5 parsecs", "s", "PT5S", "5s ago", "1y"] {
            let error = bad.parse::<Span>().unwrap_err();
            assert!(error.contains("100ms"), "{bad}: {error}");
        }
    }

    #[test]
    fn sizes_are_written_as_in_kubernetes() {
        for (text, bytes, shown) in [
            ("4Mi", 4 << 20, "4Mi"),
            ("4194304", 4 << 20, "4Mi"),
            ("1536Ki", 1536 << 10, "1536Ki"),
            ("1Gi", 1 << 30, "1Gi"),
            ("1000", 1000, "1000"),
            ("0", 0, "0"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size, ByteSize::bytes(bytes), "{text}");
            assert_eq!(size.to_string(), shown);
        }
        for bad in [
            "",
            "Mi",
            "4MB",
            "4 Mi",
            "-1",
            "1.5Mi",
            "99999999999999999999",
            "99999999999Gi",
        ] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_are_host_and_port() {
        for good in [
            "localhost:7443",
            "10.0.0.1:1",
            "[::1]:7443",
            "a.b-c_d.example.com:65535",
        ] {
            assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "host",
            ":1",
            "host:0",
            "host:65536",
            "::1:7443",
            "[host]:1",
            "http://a:1",
            "a b:1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hashes_are_sixteen_digits() {
        assert_eq!("00000000000000ff".parse(), Ok(Hash64(255)));
        for bad in ["ff", "00000000000000FF", "+0000000000000ff", ""] {
            assert!(bad.parse::<Hash64>().is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = Secret::new("postgres://u:p@h/d");
        assert!(!format!("{secret:?}").contains("p@h"));
        assert_eq!(secret.reveal(), "postgres://u:p@h/d");
    }
}
