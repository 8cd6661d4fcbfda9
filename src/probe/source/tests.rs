//! Calls as people write them, and the files in which they stand.

use super::calls::{self, Place, Told};
use super::files::{self, Reader};
use super::syntax::Source;
use super::words;
use crate::probe::process::own_code::OwnCode;
use crate::probe::process::sources::{self, Start};
use crate::probe::tree::Tree;
use crate::snapshot::{DeviceWord, SourceCall};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

fn told(text: &str) -> Told {
    calls::read(&Source::of(text), &Place { file: "/srv/app.py", origin: "server" })
}

/// The one session that a text makes.
fn session(text: &str) -> SourceCall {
    let mut sessions = told(text).sessions;
    assert_eq!(sessions.len(), 1, "{text}: {sessions:?}");
    sessions.remove(0)
}

fn model(text: &str) -> (String, String) {
    let models = told(text).models;
    assert_eq!(models.len(), 1, "{text}: {models:?}");
    (models[0].kind.clone(), models[0].device.clone())
}

#[test]
fn sessions_are_told_by_the_providers_that_they_name() {
    for (text, device) in [
        ("import onnxruntime as ort\ns = ort.InferenceSession(path)", "default"),
        ("from onnxruntime import InferenceSession as IS\ns = IS('m.onnx', opts)", "default"),
        ("s = rt.InferenceSession(path, providers=None)", "default"),
        ("s = rt.InferenceSession(path, providers=['CPUExecutionProvider'])", "cpu"),
        ("s = rt.InferenceSession(path, opts, ['CPUExecutionProvider'])", "cpu"),
        ("s = rt.InferenceSession(path, opts, providers=())", "cpu"),
        ("s = rt.InferenceSession(path, providers=['AzureExecutionProvider', 'CPUExecutionProvider'])", "cpu"),
        ("s = rt.InferenceSession(path, providers=['CUDAExecutionProvider', 'CPUExecutionProvider'])", "gpu"),
        ("s = rt.InferenceSession(path, providers=[('CUDAExecutionProvider', {'device_id': 0})])", "gpu"),
        ("s = rt.InferenceSession(path, providers=providers)", "computed"),
        ("s = rt.InferenceSession(path, providers=ort.get_available_providers())", "computed"),
        (
            "s = rt.InferenceSession(path, providers=['CUDAExecutionProvider'] if gpu else ['CPUExecutionProvider'])",
            "computed",
        ),
        ("s = rt.InferenceSession(path, **options)", "computed"),
        ("s = rt.InferenceSession(*arguments)", "computed"),
        ("P = ['CPUExecutionProvider']\ns = rt.InferenceSession(path, providers=P)", "cpu"),
        ("self.p = ['CPUExecutionProvider']\ns = rt.InferenceSession(path, providers=self.p)", "cpu"),
        ("P: list[str] = ['CPUExecutionProvider']\ns = rt.InferenceSession(path, providers=P)", "cpu"),
        (
            "P = ['CPUExecutionProvider']\nP.insert(0, 'CUDAExecutionProvider')\ns = rt.InferenceSession(p, providers=P)",
            "computed",
        ),
        (
            "P = ['CPUExecutionProvider']\nif gpu:\n  P = ['CUDAExecutionProvider']\ns = rt.InferenceSession(p, providers=P)",
            "computed",
        ),
        ("def f(P=['CPUExecutionProvider']):\n  return rt.InferenceSession(p, providers=P)", "computed"),
        ("s = rt.InferenceSession(path)\ns.set_providers(['CUDAExecutionProvider'])", "computed"),
    ] {
        assert_eq!(session(text).device, device, "{text}");
    }
}

#[test]
fn a_call_over_lines_is_quoted_in_one_with_its_line() {
    let call = session(
        "import onnxruntime as ort  # the runtime\n\n\ndef load(path):\n    return ort.InferenceSession(\n        path,  # a (comment\n        \
         sess_options=opts,\n    )\n",
    );
    assert_eq!((call.line, call.callee.as_str()), (5, "onnxruntime.InferenceSession"));
    assert_eq!(call.text, "return ort.InferenceSession(path, sess_options=opts,)");
    assert_eq!(call.call, "ort.InferenceSession(path, sess_options=opts,)");
    assert_eq!(call.arguments, BTreeMap::from([("sess_options".to_owned(), "opts".to_owned())]));
    let beside = session("login('x'); s = ort.InferenceSession(path) if path else None; go()");
    assert_eq!(beside.text, "s = ort.InferenceSession(path) if path else None");
    let long = session(&format!("s = ort.InferenceSession({}, 'x')", "a + ".repeat(300)));
    assert!(long.text.chars().count() <= 300 && long.call.is_empty());
}

#[test]
fn secrets_in_quoted_lines_are_masked() {
    let text = "m = AutoModel.from_pretrained(n, token='hf_S3cretS3cretS3cret', device_map='auto', api_key=\"S3cret\")";
    let models = told(text).models;
    let all = serde_json::to_string(&models).unwrap();
    assert!(!all.contains("S3cret") && all.contains("***"), "{all}");
    assert_eq!(models[0].device, "auto");
}

#[test]
fn what_only_looks_like_a_call_is_none() {
    for text in [
        "# ort.InferenceSession(path)",
        "'''\nort.InferenceSession(path)\n'''",
        "print('ort.InferenceSession(path)')",
        "class InferenceSession(Base):\n    pass",
        "def InferenceSession(path):\n    pass",
        "f\"{x!r} ort.InferenceSession(path)\"",
        "from onnxruntime import InferenceSession",
        "ort.InferenceSession(path",
    ] {
        assert!(told(text).sessions.is_empty(), "{text}");
    }
}

#[test]
fn models_are_told_by_their_devices() {
    let imports = "import torch, whisper\nfrom transformers import AutoModel, pipeline\nfrom llama_cpp import Llama\n\
                   from faster_whisper import WhisperModel\nimport ctranslate2\nfrom insightface.app import FaceAnalysis\n";
    for (text, kind, device) in [
        ("WhisperModel('small')", "whisper_model", "default"),
        ("WhisperModel('small', 'cuda')", "whisper_model", "gpu"),
        ("WhisperModel('small', device='auto', compute_type='float16')", "whisper_model", "auto"),
        ("WhisperModel('small', device=DEVICE)", "whisper_model", "computed"),
        ("ctranslate2.Generator(path)", "ctranslate2_model", "default"),
        ("ctranslate2.models.Whisper(path, device='cpu')", "ctranslate2_model", "cpu"),
        ("whisper.load_model('base')", "whisper_load", "default"),
        ("pipeline('asr', model=m)", "pipeline", "default"),
        ("pipeline('asr', model=m, device=0)", "pipeline", "gpu"),
        ("pipeline('asr', model=m, device=-1)", "pipeline", "cpu"),
        ("pipeline('asr', model=m, device_map='auto')", "pipeline", "auto"),
        ("AutoModel.from_pretrained(n)", "from_pretrained", "default"),
        ("AutoModel.from_pretrained(n, device_map='cuda:0')", "from_pretrained", "gpu"),
        ("AutoModel.from_pretrained(n, device_map='auto' if x else None)", "from_pretrained", "computed"),
        ("Llama(model_path=p)", "llama", "default"),
        ("Llama(model_path=p, n_gpu_layers=0)", "llama", "cpu"),
        ("Llama(model_path=p, n_gpu_layers=-1)", "llama", "gpu"),
        ("Llama.from_pretrained(repo_id=r, n_gpu_layers=N)", "llama", "computed"),
        ("torch.load(p, map_location='cpu')", "torch_load", "cpu"),
        ("torch.device('cuda:0')", "torch_device", "gpu"),
        ("model.to('cuda')", "to", "gpu"),
        ("make(1).to(device)", "to", "computed"),
        ("model.cuda()", "cuda", "gpu"),
        ("FaceAnalysis(name='buffalo_l')", "face_analysis", "default"),
        ("FaceAnalysis(providers=['CUDAExecutionProvider'])", "face_analysis", "gpu"),
        ("RapidOCR()", "onnx_wrapper", "default"),
        ("RapidOCR(params={'Det.use_cuda': True})", "onnx_wrapper", "gpu"),
        ("RapidOCR(det_use_cuda=True)", "onnx_wrapper", "gpu"),
    ] {
        assert_eq!(model(&format!("{imports}{text}")), (kind.into(), device.into()), "{text}");
    }
    for text in [
        "AutoTokenizer.from_pretrained(n)",
        "x.to(torch.float16)",
        "time.to('utc')",
        "kafka.pipeline('x')",
        "json.load(file)",
        "torch.cuda.is_available()",
    ] {
        assert!(told(text).models.is_empty(), "{text}");
    }
}

#[test]
fn a_forbidden_fall_back_is_seen() {
    let text = "o.add_session_config_entry(\"session.disable_cpu_ep_fallback\", \"1\")\n\
                o.add_session_config_entry('session.disable_cpu_ep_fallback', '0')\no.add_session_config_entry('a', '1')";
    let found = told(text).no_fallback;
    assert_eq!(found.iter().map(|call| call.line).collect::<Vec<_>>(), [1]);
}

fn device_words(text: &str) -> Vec<DeviceWord> {
    let mut seen = BTreeSet::new();
    let mut found = words::of(&Source::of(text), "/srv/app.py", &mut seen);
    words::settle(&mut found, &seen);
    found
}

#[test]
fn words_for_devices_are_told_with_their_names() {
    let found = device_words(
        "DEVICE = os.getenv('DEVICE', 'gpu')\ndef f(x, device: str = 'CUDA'): ...\nself.asr_device = 'cuda:1'\n\
         C = {'device': 'gpu:0'}\nsecret_device = 'hunter2'\nname = 'gpu'\n",
    );
    let told: Vec<_> =
        found.iter().map(|word| (word.name.as_str(), word.value.as_str(), word.place.as_str())).collect();
    assert_eq!(
        told,
        [
            ("DEVICE", "gpu", "/srv/app.py:1"),
            ("device", "CUDA", "/srv/app.py:2"),
            ("asr_device", "cuda:1", "/srv/app.py:3"),
            ("device", "gpu:0", "/srv/app.py:4"),
        ]
    );
    // `name = 'gpu'` is a use of the word that is no setting, so that the code may know it.
    assert_eq!(found.iter().map(|word| word.known_to_code).collect::<Vec<_>>(), [true, false, false, false]);
    let known = device_words("device = 'gpu'\nif device == 'gpu': device = 'cuda'\n");
    assert!(known[0].known_to_code && !known[1].known_to_code, "{known:?}");
}

/// A tree with these files, and the server that `arguments` start in its folder `srv/asr`.
fn server(files: &[(&str, &str)], arguments: &[&str]) -> (tempfile::TempDir, OwnCode) {
    server_in("/srv/asr", files, arguments)
}

fn server_in(folder: &str, files: &[(&str, &str)], arguments: &[&str]) -> (tempfile::TempDir, OwnCode) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let tree = Tree::new(dir.path());
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let start = Start {
        arguments: &arguments,
        working_directory: Path::new(folder),
        home: Some(Path::new("/home/asr")),
        is_python: true,
    };
    let found = sources::find(&tree, &start, Instant::now() + Duration::from_secs(5));
    (dir, OwnCode { tree, sources: found, home: Some("/home/asr".into()), arguments })
}

fn reader() -> Reader {
    Reader::new(Instant::now() + Duration::from_secs(5))
}

#[test]
fn only_files_that_the_server_loads_are_read() {
    let files = [
        ("srv/asr/app.py", "from lib.engine import load"),
        ("srv/asr/lib/__init__.py", ""),
        ("srv/asr/lib/engine.py", "import onnxruntime"),
        ("srv/asr/benchmark.py", "from only_for_benchmarks import x\nort.InferenceSession(p)"),
        ("srv/asr/only_for_benchmarks.py", "ort.InferenceSession(p)"),
    ];
    let (_dir, own) = server(&files, &["python", "-m", "uvicorn", "app:app"]);
    let read = reader().own(&own);
    let names: Vec<_> = read.iter().map(|text| text.path.display().to_string()).collect();
    assert_eq!(names, ["/srv/asr/app.py", "/srv/asr/lib/__init__.py", "/srv/asr/lib/engine.py"]);
    let (_dir, own) = server(&files, &["mlserver", "start", "."]);
    assert_eq!(reader().own(&own).len(), 5, "where nothing is named, every file may be the server's");
}

#[test]
fn beside_a_script_in_a_shared_folder_only_what_it_imports_is_read() {
    let files = [
        ("home/asr/app.py", "import engine\nfrom lib import load"),
        ("home/asr/engine.py", "import deeper"),
        ("home/asr/deeper.py", ""),
        ("home/asr/lib/__init__.py", "from .core import load"),
        ("home/asr/lib/core.py", ""),
        ("home/asr/lib/other.py", ""),
        ("home/asr/unrelated.py", "ort.InferenceSession(p)"),
    ];
    let (_dir, own) = server_in("/home/asr", &files, &["python", "/home/asr/app.py"]);
    let names: Vec<_> = reader().own(&own).iter().map(|text| text.path.display().to_string()).collect();
    let expected = ["app.py", "deeper.py", "engine.py", "lib/__init__.py", "lib/core.py"];
    assert_eq!(names, expected.map(|name| format!("/home/asr/{name}")));
}

#[test]
fn what_cannot_be_read_is_named() {
    let (dir, own) = server(&[("srv/asr/app.py", "import engine"), ("srv/asr/engine.py", "")], &["python", "app.py"]);
    std::fs::remove_file(dir.path().join("srv/asr/engine.py")).unwrap();
    let fifo = std::ffi::CString::new(dir.path().join("srv/asr/engine.py").display().to_string()).unwrap();
    // SAFETY: a valid C string; mkfifo makes a file and nothing else.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    std::fs::File::create(dir.path().join("srv/asr/app.py")).unwrap().set_len(1 << 40).unwrap();
    let mut reader = reader();
    assert!(reader.own(&own).is_empty());
    assert!(reader.not_read.iter().any(|why| why.contains("app.py: larger than")), "{:?}", reader.not_read);
    assert!(reader.not_read.iter().any(|why| why.contains("engine.py: not a regular file")), "{:?}", reader.not_read);
    assert!(reader.missing().is_some());
}

#[test]
fn the_code_of_models_is_found_where_the_hub_keeps_it() {
    let modules = "home/asr/.cache/huggingface/modules/transformers_modules";
    let file = format!("{modules}/ai4bharat/indic_hyphen_conformer/0f3c/model_onnx.py");
    let other = format!("{modules}/someone/else/1a/modeling.py");
    let text = "import onnxruntime as ort\nclass M:\n    def load(self):\n        self.s = ort.InferenceSession(p)\n";
    let app = "AutoModel.from_pretrained('ai4bharat/indic-conformer', trust_remote_code=True)";
    let (_dir, own) =
        server(&[("srv/asr/app.py", app), (&file, text), (&other, text)], &["python", "-m", "uvicorn", "app:app"]);
    let places = files::remote_code(None, own.home.as_deref());
    assert_eq!(places, [Path::new("/").join(modules)]);
    let mut reader = reader();
    let server = reader.own(&own);
    let found = super::remote(&mut reader, &own, &server, &all_unknown());
    let names: Vec<_> = found.iter().map(|text| text.path.clone()).collect();
    assert_eq!(names, [Path::new("/").join(&file)], "the other model is not this server's");
    let set = BTreeMap::from([("HF_HOME".to_owned(), "/data/hf".to_owned())]);
    assert_eq!(files::remote_code(Some(&set), None), [Path::new("/data/hf/modules/transformers_modules")]);
}

fn all_unknown() -> crate::snapshot::Facts {
    crate::snapshot::Facts::all_unknown(&crate::snapshot::Unknown::new(crate::snapshot::Why::NotAsked, "not here"))
}

#[test]
fn the_package_that_a_console_script_starts_is_the_servers_code() {
    let script = "#!/venv/bin/python\nimport re\nimport sys\nfrom whisperserver.main import main\nsys.exit(main())\n";
    let (dir, own) =
        server(&[("venv/bin/whisperserver", script)], &["/venv/bin/python", "/venv/bin/whisperserver", "--port", "1"]);
    let names = files::entry_modules(&own);
    assert_eq!(names, ["re", "sys", "whisperserver"]);
    assert_eq!(files::entry_modules(&server(&[], &["python", "-u", "-m", "pkg.sub"]).1), ["pkg"]);
    assert!(files::entry_modules(&server(&[], &["python", "app.py"]).1).is_empty());
    let site = dir.path().join("site-packages");
    std::fs::create_dir_all(site.join("whisperserver/tests")).unwrap();
    std::fs::write(site.join("whisperserver/core.py"), "from faster_whisper import WhisperModel\nWhisperModel('x')")
        .unwrap();
    std::fs::write(site.join("whisperserver/web.py"), "import fastapi").unwrap();
    std::fs::write(site.join("whisperserver/tests/x.py"), "import faster_whisper").unwrap();
    let mut facts = all_unknown();
    facts.packages.site_packages = crate::snapshot::Fact::Known(vec![site.display().to_string()]);
    let read = super::entry_package(&mut reader(), &[own], &facts);
    let names: Vec<_> = read.iter().map(|text| text.path.clone()).collect();
    assert_eq!(names, [site.join("whisperserver/core.py")]);
}

#[test]
fn brackets_without_end_take_no_time() {
    let began = Instant::now();
    for text in
        ["f(".repeat(100_000), "(".repeat(200_000), "f'{".repeat(100_000), "ort.InferenceSession(".repeat(20_000)]
    {
        told(&text);
        told(&format!("{text}{}", ")".repeat(text.matches('(').count())));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read(
        text in r#"([a-f(){}\[\]'",: \n=.*#]|ort\.InferenceSession\(|providers=|model\.to\(|device|import |from |def |"CPUExecutionProvider")*"#,
    ) {
        let told = told(&text);
        for call in told.sessions.iter().chain(&told.models) {
            proptest::prop_assert!(call.line >= 1 && call.line <= text.lines().count() as u64);
            proptest::prop_assert!(call.text.chars().count() <= 300 && call.call.chars().count() <= 300);
        }
        device_words(&text);
    }
}
