//! Which proxies are trusted: networks, files of networks, and the CDN that is known by name.

use crate::contract::CLOUDFLARE;
use crate::network::Network;

/// What begins the path of a file.
const FILE: &str = "file:";

/// The networks of Cloudflare's edge, as <https://www.cloudflare.com/ips-v4> and <https://www.cloudflare.com/ips-v6> list them
/// (as published since 2023-09-28). Compare the list before each release.
const EDGE: [&str; 22] = [
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

/// The networks of one entry: `10.0.0.0/8`, `cloudflare`, or `file:PATH` with one network a line and comments behind `#`.
///
/// # Errors
/// What is wrong, with the line of a file.
pub fn networks(entry: &str, read: &dyn Fn(&str) -> std::io::Result<String>) -> Result<Vec<Network>, String> {
    if entry == CLOUDFLARE {
        return EDGE.iter().map(|network| network.parse()).collect();
    }
    let Some(path) = entry.strip_prefix(FILE) else { return Ok(vec![entry.parse()?]) };
    let text = read(path).map_err(|error| format!("cannot read `{path}`: {error}"))?;
    let mut networks = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            // The line itself may be of any file.
            let wrong = |_| format!("`{path}:{}` is not a network such as `10.0.0.0/8`", number + 1);
            networks.push(line.parse().map_err(wrong)?);
        }
    }
    Ok(networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entry: &str) -> Result<usize, String> {
        let read = |path: &str| match path {
            "/good" => Ok("# ours\n10.0.0.0/8\n\n  fd00::/8 # more\n".into()),
            "/bad" => Ok("10.0.0.0/8\nhunter2\n".into()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        networks(entry, &read).map(|networks| networks.len())
    }

    #[test]
    fn proxies_come_from_networks_files_and_the_known_cdn() {
        assert_eq!(of("10.0.0.0/8"), Ok(1));
        assert_eq!(of("file:/good"), Ok(2));
        assert_eq!(of("cloudflare"), Ok(22));
        let cloudflare = networks("cloudflare", &|_| Ok(String::new())).unwrap();
        let known = |address: &str| cloudflare.iter().any(|it| it.contains(address.parse().unwrap()));
        assert!(known("104.16.0.1") && known("2606:4700::1") && !known("8.8.8.8"));
    }

    #[test]
    fn wrong_line_of_a_file_is_named_and_not_shown() {
        let error = of("file:/bad").unwrap_err();
        assert_eq!(error, "`/bad:2` is not a network such as `10.0.0.0/8`");
        assert!(of("file:/missing").unwrap_err().starts_with("cannot read `/missing`: "));
        assert!(of("Cloudflare").is_err() && of("file").is_err());
    }
}
