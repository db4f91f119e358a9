//! The scenario files that come with the program.

mod program;

use program::{Place, scenario, text};

#[test]
fn all_scenario_files_are_valid_and_leave_nothing_to_note() {
    let place = Place::new();
    let folder = scenario("");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let out = place.loadgen(["check".as_ref(), file.as_os_str()]);
        let said = text(&out.stderr);
        assert!(out.status.success(), "{}: {said}", file.display());
        assert!(said.is_empty(), "{}: {said}", file.display());
        files += 1;
    }
    assert!(files >= 2, "{files}");
}
