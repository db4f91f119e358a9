//! The scenario files that come with the program.

use crate::program::{Place, scenario, text};

#[test]
fn all_scenario_files_are_valid_and_leave_nothing_to_note() {
    let place = Place::new();
    let folders = [scenario(""), scenario("../examples/recipes")];
    let entries = folders.map(|folder| std::fs::read_dir(folder).unwrap());
    let files = entries.into_iter().flatten().map(|e| e.unwrap().path());
    let yaml = files.filter(|file| file.extension().is_some_and(|end| end == "yaml"));
    let mut files = 0;
    for file in yaml {
        let out = place.loadgen(["check".as_ref(), file.as_os_str()]);
        let said = text(&out.stderr);
        assert!(out.status.success(), "{}: {said}", file.display());
        assert!(said.is_empty(), "{}: {said}", file.display());
        files += 1;
    }
    assert!(files >= 8, "{files}");
}
