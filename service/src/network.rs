//! Networks in CIDR notation, and the one form of an address. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network such as `10.0.0.0/8` or `fd00::/8`; a bare address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// Whether `address`, in its one form, belongs to the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, canonical(address)) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                u32::from(network) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                masked(network, self.length) == masked(address, self.length)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a network such as `10.0.0.0/8` or `fd00::/8`");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), |length| length.parse().map_err(|_| wrong()))?;
        if length > most { Err(wrong()) } else { Ok(Self { address, length }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The one form of an address: IPv4 within IPv6 (`::ffff:0:0/96`, and NAT64's `64:ff9b::/96` of RFC 6052) is IPv4.
/// By range, not by notation.
pub fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let bits = v6.to_bits();
    let [.., a, b, c, d] = v6.octets();
    let embedded = || IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    match bits >> 32 {
        0xffff => embedded(),
        prefix if prefix == Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0).to_bits() >> 32 => embedded(),
        _ => address,
    }
}

/// The first `length` bits of an address, the rest zero.
pub fn masked(address: Ipv6Addr, length: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_by_its_bits_whatever_its_notation() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        for (address, inside) in
            [("10.255.1.2", true), ("11.0.0.1", false), ("::ffff:10.1.1.1", true), ("64:ff9b::a01:1", true)]
        {
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{address}");
        }
        let network: Network = "fd00::/8".parse().unwrap();
        assert!(
            network.contains("fdff::1".parse().unwrap()) && !network.contains("fe80::1".parse().unwrap())
        );
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        for wrong in ["10.0.0.0/33", "x", "10.0.0.0/-1", "::/129", ""] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
