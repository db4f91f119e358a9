//! What a call goes to, in the stable vocabulary and in those before it. Where both are there, the
//! stable name wins, in whatever order they come.

use loadgen_otlp::view::AnyValue;

/// The attributes as they came, the stable name before the older one.
#[derive(Debug, Default)]
pub(crate) struct PeerAttributes<'a> {
    db_system: [Option<&'a str>; 2],
    messaging_system: Option<&'a str>,
    rpc_system: [Option<&'a str>; 2],
    service: [Option<&'a str>; 2],
}

impl<'a> PeerAttributes<'a> {
    /// Looks at one attribute; the first of a key that comes twice wins.
    pub(crate) fn take(&mut self, key: &str, value: &'a AnyValue<'_>) {
        let slot = match key {
            "db.system.name" => &mut self.db_system[0],
            "db.system" => &mut self.db_system[1],
            "messaging.system" => &mut self.messaging_system,
            "rpc.system.name" => &mut self.rpc_system[0],
            "rpc.system" => &mut self.rpc_system[1],
            "service.peer.name" => &mut self.service[0],
            "peer.service" => &mut self.service[1],
            _ => return,
        };
        if slot.is_none() {
            *slot = value.as_text();
        }
    }

    /// Kind of the database, such as `postgresql`.
    pub(crate) fn db_system(&self) -> Option<&'a str> {
        self.db_system[0].or(self.db_system[1])
    }

    /// Kind of the broker, such as `rabbitmq`.
    pub(crate) fn messaging_system(&self) -> Option<&'a str> {
        self.messaging_system
    }

    /// Kind of remote procedure call, such as `grpc`.
    pub(crate) fn rpc_system(&self) -> Option<&'a str> {
        self.rpc_system[0].or(self.rpc_system[1])
    }

    /// Name of the service that is called, as the caller knows it.
    pub(crate) fn service(&self) -> Option<&'a str> {
        self.service[0].or(self.service[1])
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn the_stable_name_wins_in_any_order() {
        let text = |text: &'static str| AnyValue::Text(Cow::Borrowed(text));
        let pairs = [
            ("db.system", text("mssql")),
            ("db.system.name", text("microsoft.sql_server")),
            ("peer.service", text("old")),
        ];
        let mut peer = PeerAttributes::default();
        for (key, value) in &pairs {
            peer.take(key, value);
        }
        assert_eq!(peer.db_system(), Some("microsoft.sql_server"));
        assert_eq!(peer.service(), Some("old"));
        assert_eq!((peer.messaging_system(), peer.rpc_system()), (None, None));
    }
}
