//! Where models run: on a device of this machine, or on a server.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    device::{Device, UnknownDevice},
    remote::{Address, AddressError},
};

/// Where models run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a device of this machine.
    Here(Device),
    /// On a server; what is small runs on the processor here.
    There(Address),
}

/// A word that is no place.
#[derive(Debug, thiserror::Error)]
pub enum UnknownPlace {
    /// It is no device.
    #[error("{0}, or the address of a server, such as kserve://host:8000")]
    Device(UnknownDevice),
    /// It is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl FromStr for Place {
    type Err = UnknownPlace;
    fn from_str(word: &str) -> Result<Self, UnknownPlace> {
        // What may hold a secret is never repeated, as an unknown device is.
        if word.contains(['/', '@']) {
            return Ok(Self::There(word.parse()?));
        }
        word.parse().map(Self::Here).map_err(UnknownPlace::Device)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(device) => device.fmt(f),
            Self::There(address) => address.fmt(f),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
