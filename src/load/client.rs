//! Who the service takes a virtual user for. With the stack's probe secret each user is a simulated client of its
//! own; after as many requests as one client may send, the next client takes its place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use appforge_service::probe;

/// How far ahead a signature expires; the service takes one hour at most.
const VALID: u64 = 1_800;

/// The source of simulated clients of one run.
#[derive(Clone)]
pub struct Clients {
    secret: Option<Vec<u8>>,
    run: String,
    requests_per_client: u64,
}

impl Clients {
    /// `run` tells this run's clients from those of any other; `requests_per_client` 0 keeps each client for ever.
    pub fn new(secret: Option<Vec<u8>>, run: String, requests_per_client: u64) -> Self {
        Self { secret, run, requests_per_client }
    }

    /// Whether requests are signed at all.
    pub fn simulated(&self) -> bool {
        self.secret.is_some()
    }

    /// The identity of virtual user `user`.
    pub(super) fn user(&self, user: usize) -> Identity {
        Identity { user, generation: 0, sent: 0, header: None, expires: 0 }
    }
}

/// The identity of one virtual user at this moment.
pub(super) struct Identity {
    user: usize,
    generation: u64,
    sent: u64,
    header: Option<String>,
    expires: u64,
}

impl Identity {
    /// The value of [`appforge_service::contract::PROBE_HEADER`] for the next request; `None` when requests are not signed.
    pub(super) fn header(&mut self, clients: &Clients) -> Option<&str> {
        let secret = clients.secret.as_deref()?;
        if clients.requests_per_client > 0 && self.sent == clients.requests_per_client {
            (self.generation, self.sent, self.header) = (self.generation + 1, 0, None);
        }
        // The clock is read once in a while only: a signature is good for half an hour.
        if self.header.is_none() || (self.sent.is_multiple_of(16) && now() + 60 >= self.expires) {
            self.expires = now() + VALID;
            let client = format!("load-{}-{}-{}", clients.run, self.user, self.generation);
            self.header = Some(probe::sign(secret, &client, self.expires));
        }
        self.sent += 1;
        self.header.as_deref()
    }

    /// How many clients this user has been so far.
    pub(super) fn clients(&self) -> u64 {
        if self.sent == 0 && self.generation == 0 { 0 } else { self.generation + 1 }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(identity: &mut Identity, clients: &Clients) -> String {
        let value = identity.header(clients).unwrap();
        value.split(';').nth(1).unwrap().to_owned()
    }

    #[test]
    fn each_user_is_its_own_client_until_the_client_has_had_its_requests() {
        let clients = Clients::new(Some(b"0123456789abcdef".to_vec()), "r".into(), 2);
        let (mut first, mut second) = (clients.user(0), clients.user(1));
        let names: Vec<String> = (0..5).map(|_| name(&mut first, &clients)).collect();
        let want = ["load-r-0-0", "load-r-0-0", "load-r-0-1", "load-r-0-1", "load-r-0-2"];
        assert_eq!(names, want.map(|name| format!("client={name}")));
        assert_eq!(name(&mut second, &clients), "client=load-r-1-0");
        assert_eq!((first.clients(), second.clients()), (3, 1));
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        let clients = Clients::new(None, "r".into(), 2);
        assert!(clients.user(0).header(&clients).is_none());
    }
}
