//! The driver `flagd` against flags that are evaluated by flagd's own rules.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use loadgen_fault::{FaultDriver, FaultError, FlagReader, FlagdDriver, Injection};
use loadgen_scenario::plan::{Fault, Flag, FlagSource, Parameters};
use serde_json::{Value, json};

/// What the OpenTelemetry Demo's flags look like.
const FLAGS: &str = r#"{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "paymentFailure": {
      "description": "Fail payments",
      "state": "ENABLED",
      "variants": {"100%": 1, "50%": 0.5, "off": 0},
      "defaultVariant": "off"
    },
    "productCatalogFailure": {
      "state": "ENABLED",
      "variants": {"on": true, "off": false},
      "defaultVariant": "off",
      "targeting": {"if": [true, "off", "off"]}
    },
    "loadGeneratorVUs": {
      "state": "ENABLED",
      "variants": {"5": 5, "50": 50, "half": 0.5},
      "defaultVariant": "5"
    },
    "loadGeneratorTraffic": {
      "state": "ENABLED",
      "variants": {"on": 1, "off": 0},
      "defaultVariant": "on"
    }
  }
}"#;

struct Flagd {
    child: Child,
    url: String,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Flagd {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("demo.flagd.json");
        std::fs::write(&file, FLAGS).unwrap();
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flagd/server.py");
        let mut child = Command::new(python())
            .args([&server, &file])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self {
            child,
            url: ready["url"].as_str().unwrap().to_owned(),
            file,
            _folder: folder,
        }
    }

    fn flags(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(&self.file).unwrap()).unwrap()
    }

    fn driver(&self, place: Value) -> FlagdDriver {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut settings = place.as_object().unwrap().clone();
        settings.insert("ofrep_url".to_owned(), self.url.clone().into());
        FlagdDriver::new(reqwest::Client::new(), &settings).unwrap()
    }

    fn by_file(&self) -> FlagdDriver {
        self.driver(json!({ "file": self.file }))
    }

    fn by_ui(&self) -> FlagdDriver {
        self.driver(json!({ "ui_url": format!("{}/feature", self.url) }))
    }
}

impl Drop for Flagd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python with flagd's evaluation, in the build folder.
fn python() -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    // Tests run side by side.
    let lock = File::create(tools.join("flagd.lock")).unwrap();
    lock.lock().unwrap();
    let folder = tools.join("flagd-core-2.0.0");
    let python = folder.join("bin/python");
    if !folder.join("done").exists() {
        let run = |command: &mut Command| assert!(command.status().unwrap().success());
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        run(Command::new(&python)
            .args(install)
            .arg("openfeature-flagd-core==2.0.0"));
        std::fs::write(folder.join("done"), "").unwrap();
    }
    python
}

fn fault(flag: &str, variant: &str) -> Fault {
    let mut parameters = Parameters::new();
    parameters.insert("variant".to_owned(), variant.into());
    Fault {
        driver: "flagd".to_owned(),
        fault: flag.to_owned(),
        service: "payment".to_owned(),
        intensity: 1.0,
        sham: false,
        harmless: false,
        clients: None,
        parameters,
    }
}

async fn prepared(driver: &FlagdDriver, fault: Fault) -> Injection {
    let before = driver.prepare(&fault, "run").await.unwrap();
    let owner = "run".to_owned();
    Injection {
        fault,
        owner,
        before,
    }
}

#[tokio::test]
async fn a_flag_is_switched_and_put_back_as_it_was() {
    let flagd = Flagd::start();
    for driver in [flagd.by_file(), flagd.by_ui()] {
        let before: Value = serde_json::from_str(FLAGS).unwrap();
        for (flag, variant, value) in [
            ("paymentFailure", "50%", json!(0.5)),
            ("productCatalogFailure", "on", json!(true)),
        ] {
            let injection = prepared(&driver, fault(flag, variant)).await;
            let confirmed = driver.inject(&injection).await.unwrap();
            assert_eq!(confirmed.read_back["value"], value, "{flag}");
            let active = driver
                .state(std::slice::from_ref(&injection))
                .await
                .unwrap();
            assert_eq!(active.len(), 1, "{active:?}");
            assert_eq!(
                (&active[0].fault, &*active[0].owner),
                (&injection.fault, "run")
            );
            let cleared = driver.clear(&injection).await.unwrap();
            assert!(cleared.was_in_force);
            assert_eq!(flagd.flags(), before);
            // Once more, as after a crash.
            assert!(!driver.clear(&injection).await.unwrap().was_in_force);
        }
        let active = driver.state(&[]).await.unwrap();
        assert!(active.is_empty(), "{active:?}");
    }
}

#[tokio::test]
async fn what_somebody_else_switches_is_seen() {
    let flagd = Flagd::start();
    let (ours, theirs) = (flagd.by_ui(), flagd.by_ui());
    let injection = prepared(&theirs, fault("paymentFailure", "100%")).await;
    theirs.inject(&injection).await.unwrap();
    let active = ours.state(&[]).await.unwrap();
    assert_eq!(active.len(), 1, "{active:?}");
    assert_eq!(active[0].fault.fault, "paymentFailure");
    assert_eq!(active[0].fault.parameters["variant"], "100%");
    assert_eq!(active[0].owner, "");
}

#[tokio::test]
async fn slips_change_nothing() {
    let flagd = Flagd::start();
    let driver = flagd.by_file();
    for (flag, variant, named) in [
        ("paymentfailure", "on", "no flag `paymentfailure`"),
        (
            "paymentFailure",
            "on",
            "no variant `on`: it has 100%, 50%, off",
        ),
    ] {
        let error = driver
            .prepare(&fault(flag, variant), "run")
            .await
            .unwrap_err();
        assert!(error.changed_nothing());
        assert!(error.to_string().contains(named), "{error}");
    }
    assert_eq!(flagd.flags(), serde_json::from_str::<Value>(FLAGS).unwrap());
    let unset = FlagdDriver::new(reqwest::Client::new(), &Parameters::new());
    assert!(matches!(unset, Err(FaultError::Settings { .. })));
}

#[tokio::test]
async fn a_flag_that_flagd_does_not_take_over_is_not_confirmed() {
    let flagd = Flagd::start();
    // Another file than the one that flagd reads.
    let other = flagd.file.with_file_name("other.json");
    std::fs::write(&other, FLAGS).unwrap();
    let driver = flagd.driver(json!({ "file": other }));
    let injection = prepared(&driver, fault("paymentFailure", "50%")).await;
    let error = driver.inject(&injection).await.unwrap_err();
    assert!(!error.changed_nothing());
    assert!(error.to_string().contains("still answers 0"), "{error}");
}

/// Readers of a flag, from the file and from flagd.
fn readers(flagd: &Flagd, flag: &str) -> [FlagReader; 2] {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = flagd.file.to_str().unwrap().to_owned();
    [
        FlagSource::FlagdFile(file),
        FlagSource::OfrepUrl(flagd.url.clone()),
    ]
    .map(|source| {
        let flag = Flag {
            name: "users".to_owned(),
            flag: flag.to_owned(),
            source,
            every_ns: 1,
        };
        FlagReader::new(reqwest::Client::new(), flag)
    })
}

#[tokio::test]
async fn a_flag_is_read_from_its_file_as_from_flagd() {
    let flagd = Flagd::start();
    for reader in readers(&flagd, "loadGeneratorVUs") {
        assert_eq!(reader.read().await.unwrap(), 5);
    }
    let mut flags = flagd.flags();
    flags["flags"]["loadGeneratorVUs"]["defaultVariant"] = "50".into();
    std::fs::write(&flagd.file, flags.to_string()).unwrap();
    for reader in readers(&flagd, "loadGeneratorVUs") {
        assert_eq!(reader.read().await.unwrap(), 50);
    }
}

#[tokio::test]
async fn what_is_no_whole_number_is_not_read() {
    let flagd = Flagd::start();
    let mut flags = flagd.flags();
    flags["flags"]["loadGeneratorVUs"]["defaultVariant"] = "half".into();
    std::fs::write(&flagd.file, flags.to_string()).unwrap();
    for (flag, words) in [
        ("loadGeneratorVUs", ["not a whole number"; 2]),
        (
            "noSuchFlag",
            ["there is no flag `noSuchFlag`", "answered 404"],
        ),
    ] {
        for (reader, words) in readers(&flagd, flag).into_iter().zip(words) {
            let error = reader.read().await.unwrap_err().to_string();
            assert!(error.contains(words), "{flag}: {error}");
        }
    }
    // flagd alone can tell what targeting comes to.
    let [file, ofrep] = readers(&flagd, "productCatalogFailure");
    let error = file.read().await.unwrap_err().to_string();
    assert!(error.contains("give `ofrep_url`"), "{error}");
    let error = ofrep.read().await.unwrap_err().to_string();
    assert!(error.contains("is false"), "{error}");
    flags["flags"]["loadGeneratorVUs"]["state"] = "DISABLED".into();
    std::fs::write(&flagd.file, flags.to_string()).unwrap();
    let [file, _] = readers(&flagd, "loadGeneratorVUs");
    let error = file.read().await.unwrap_err().to_string();
    assert!(error.contains("is disabled"), "{error}");
    std::fs::remove_file(&flagd.file).unwrap();
    let [file, _] = readers(&flagd, "loadGeneratorVUs");
    let error = file.read().await.unwrap_err().to_string();
    assert!(error.contains("demo.flagd.json"), "{error}");
}

#[tokio::test]
async fn changes_of_two_flags_at_the_same_moment_are_both_made() {
    let flagd = Flagd::start();
    for driver in [flagd.by_file(), flagd.by_ui()] {
        let one = prepared(&driver, fault("paymentFailure", "50%")).await;
        let other = prepared(&driver, fault("productCatalogFailure", "on")).await;
        driver.inject(&one).await.unwrap();
        for _ in 0..5 {
            let (cleared, injected) = tokio::join!(driver.clear(&one), driver.inject(&other));
            cleared.unwrap();
            injected.unwrap();
            let (cleared, injected) = tokio::join!(driver.clear(&other), driver.inject(&one));
            cleared.unwrap();
            injected.unwrap();
        }
        driver.clear(&one).await.unwrap();
        let before: Value = serde_json::from_str(FLAGS).unwrap();
        assert_eq!(flagd.flags(), before);
    }
}
