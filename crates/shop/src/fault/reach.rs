//! Which clients meet a fault that is not for all.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use loadgen_shop_api::{CELL_KEY, ClientCells, ShopFault};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;

/// The faults of a process that are for some clients only.
#[derive(Debug, Default)]
pub(crate) struct Reach(RwLock<BTreeMap<ShopFault, ClientCells>>);

impl Reach {
    /// From now on a fault is for these clients; none: for all.
    pub(crate) fn limit(&self, fault: ShopFault, clients: Option<ClientCells>) {
        let mut limits = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match clients {
            Some(clients) => limits.insert(fault, clients),
            None => limits.remove(&fault),
        };
    }

    /// Whether a fault is for the client of a request. One that does not say its cell meets only
    /// what is for all.
    pub(crate) fn meets(&self, fault: ShopFault, context: &Context) -> bool {
        let limits = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match limits.get(&fault) {
            None => true,
            Some(clients) => cell(context).is_some_and(|cell| clients.contain(cell)),
        }
    }
}

fn cell(context: &Context) -> Option<u32> {
    context.baggage().get(CELL_KEY)?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::KeyValue;

    #[test]
    fn a_fault_is_for_the_clients_of_its_cells() {
        let reach = Reach::default();
        let meets = |cell: &str| {
            let context = Context::new().with_baggage([KeyValue::new(CELL_KEY, cell.to_owned())]);
            reach.meets(ShopFault::Hang, &context)
        };
        assert!(meets("7") && meets("x"));
        reach.limit(ShopFault::Hang, ClientCells::new(5, 3));
        let met = ["4", "5", "7", "8", "x", ""].map(meets);
        assert_eq!(met, [false, true, true, false, false, false]);
        assert!(!reach.meets(ShopFault::Hang, &Context::new()));
        assert!(reach.meets(ShopFault::SlowQuery, &Context::new()));
        reach.limit(ShopFault::Hang, None);
        assert!(meets("4"));
    }
}
