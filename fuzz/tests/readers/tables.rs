//! Files of rows.

use fuzz::Harness;
use glue_data::tasks::custom::CustomFiles;

#[test]
fn csv() {
    let seeds = [
        b"text,label\n\"a, \"\"quoted\"\" one\",x\nplain,y\nthird,x\nfourth,y\n".to_vec(),
        b"text,label\r\nwith\ttab,x\r\n\"two\nlines\",y\r\nthird,x\r\nlast,y\r\n".to_vec(),
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rows.csv");
    let files = CustomFiles {
        name: "rows".to_owned(),
        train: path.clone(),
        validation: None,
        test: None,
        text: "text".to_owned(),
        text2: None,
        label: "label".to_owned(),
        score: false,
    };
    Harness { name: "csv", seeds: &seeds, memory: 64 << 20 }.run(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        files.read(1).is_ok()
    });
}
