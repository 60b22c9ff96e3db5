//! What a change does, as events: for the command line that asked for it, and for the log.

use tokio::sync::mpsc;

use crate::targets::local::protocol::Event;

/// Where a change reports what it does; nothing has to listen.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    sender: mpsc::UnboundedSender<Event>,
}

impl Events {
    /// Reports what is done now.
    pub(crate) fn progress(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::info!("{message}");
        self.send(Event::Progress { message });
    }

    /// Events that go to `sender`.
    pub(super) fn to(sender: mpsc::UnboundedSender<Event>) -> Self {
        Self { sender }
    }

    /// For changes that were not asked for over the socket.
    pub(crate) fn unheard() -> Self {
        Self { sender: mpsc::unbounded_channel().0 }
    }

    pub(super) fn send(&self, event: Event) {
        // A command line that went away does not stop the change.
        let _ = self.sender.send(event);
    }
}
