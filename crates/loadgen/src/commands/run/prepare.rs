//! Before a run: what it needs is found and looked at, and nothing is left behind.

use loadgen_engine::BaseUrl;
use loadgen_engine::k6::{self, K6};
use loadgen_scenario::{Plan, Target, redact};
use tokio::net::TcpListener;

use super::ended_before;
use crate::allow::{self, Stands};
use crate::args::{EngineChoice, RunArgs};
use crate::commands::{doctor, plan};
use crate::exit::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::upload::Place;
use crate::{drivers, otlp, reach, secrets, shard};

/// A run that can begin: what it needs was found, and nothing was left behind.
pub(super) struct Prepared {
    /// With its secrets: what is sent.
    pub(super) plan: Plan,
    /// Without them: what is written down.
    pub(super) written: Plan,
    /// A target that is given; none: the demo shop.
    pub(super) target: Option<BaseUrl>,
    pub(super) store: Option<Place>,
    pub(super) k6: Option<K6>,
    /// Of the page that shows the run as it goes.
    pub(super) listener: Option<TcpListener>,
    pub(super) interrupts: Interrupts,
}

pub(super) async fn prepare(args: &RunArgs) -> Result<Prepared, Failure> {
    let mut plan = plan::load(&args.plan)?;
    if args.no_faults {
        plan.scenarios
            .iter_mut()
            .for_each(|scenario| scenario.fault = None);
        plan.drivers.clear();
    }
    otlp::check_endpoint(args.otlp_endpoint.as_deref())?;
    allow::remember(&args.allowed)?;
    if !args.no_client_spans {
        let stands = Stands::of_flag(args.otlp_endpoint.as_ref());
        otlp::check_host(receiver(args, &plan).as_deref(), stands, &args.allowed).await?;
    }
    drivers::check_admin_url(args.admin_url.as_deref(), &args.allowed.hosts).await?;
    let mut written = redact::plan(&plan);
    plan = secrets::filled(&plan)?;
    let store = match &args.upload {
        Some(url) => Some(Place::open(url).await?),
        None => None,
    };
    shard::check(args, &plan)?;
    let k6 = find_k6(args, &plan)?;
    let listener = listen(args).await?;
    let interrupts = match args.stop_with_stdin {
        true => Interrupts::listen_also_to_stdin(),
        false => Interrupts::listen(),
    };
    let interrupts = interrupts.map_err(|e| Failure::new(Exit::Failed, e))?;
    // A target that is given is looked at before anything is left behind.
    let target = match &plan.target {
        Target::Embedded => None,
        Target::BaseUrl(url) => {
            let base = BaseUrl::new(url);
            look_at(args, &plan, &base, &interrupts).await?;
            Some(base)
        }
    };
    if let Some(base) = &target {
        // Credentials stay out of everything that is written down.
        plan.target = Target::BaseUrl(base.url.clone());
        written.target = plan.target.clone();
    }
    Ok(Prepared {
        plan,
        written,
        target,
        store,
        k6,
        listener,
        interrupts,
    })
}

/// Whether load may go to a target, it is there, its faults can be injected, and it answers as the
/// flows expect.
async fn look_at(
    args: &RunArgs,
    plan: &Plan,
    base: &BaseUrl,
    interrupts: &Interrupts,
) -> Result<(), Failure> {
    let stands = Stands::of_flag(args.plan.overrides.base_url.as_ref());
    allow::check("the target", &base.url, stands, &args.allowed.hosts).await?;
    reach::check(base).await?;
    if args.shared.shard.is_none_or(|shard| shard.index() == 0) {
        let settings = drivers::settings(plan, args.admin_url.as_deref());
        drivers::check(&settings, plan, base)?;
    }
    preflight(args, plan, base, interrupts).await
}

/// A slow target can make this long; a signal ends it.
pub(super) async fn preflight(
    args: &RunArgs,
    plan: &Plan,
    base: &BaseUrl,
    interrupts: &Interrupts,
) -> Result<(), Failure> {
    if args.no_preflight {
        return Ok(());
    }
    tokio::select! {
        looked = doctor::preflight(plan, base) => looked,
        () = interrupts.nth(1) => Err(ended_before()),
    }
}

/// Looks for k6 where it is wanted, before anything is left behind.
fn find_k6(args: &RunArgs, plan: &Plan) -> Result<Option<K6>, Failure> {
    if args.engine == EngineChoice::Rust {
        return Ok(None);
    }
    if args.workers > 1 {
        return Err(Failure::new(
            Exit::Usage,
            "--workers is for --engine rust; k6 uses all processors by itself",
        ));
    }
    if let Some(reason) = k6::why_not(plan) {
        return Err(Failure::new(Exit::BadInput, reason));
    }
    K6::find()
        .map(Some)
        .map_err(|e| Failure::new(Exit::NotReachable, e))
}

/// The port of the live page, where one is asked for; before anything is left behind.
async fn listen(args: &RunArgs) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = args.serve else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await;
    listener.map(Some).map_err(|e| {
        let message = format!("--serve: can't listen on {address}: {e}");
        Failure::new(Exit::NotReachable, message)
    })
}

/// The receiver of client spans that the flag or the environment names.
pub(super) fn named_receiver(args: &RunArgs) -> Option<String> {
    args.otlp_endpoint
        .clone()
        .or_else(|| otlp::variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        .or_else(|| otlp::variable("OTEL_EXPORTER_OTLP_ENDPOINT"))
}

/// The receiver that client spans go to, where it is not the embedded collector.
fn receiver(args: &RunArgs, plan: &Plan) -> Option<String> {
    match plan.target {
        Target::Embedded => args.otlp_endpoint.clone(),
        Target::BaseUrl(_) => named_receiver(args),
    }
}
