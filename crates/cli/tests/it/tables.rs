//! One small table in every format.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use npyz::npz::NpzWriter;
use npyz::sparse::Csr;
use npyz::zip::CompressionMethod;
use npyz::zip::write::FileOptions;
use npyz::{AutoSerialize, DType, Serialize, WriterBuilder};
use safetensors::tensor::{Dtype, TensorView};

/// Two features, whose signs are the two labels except in row 4; about every third label is missing.
pub struct Example {
    pub features: Vec<[f32; 2]>,
    pub labels: Vec<[Option<f32>; 2]>,
    /// A further column of the CSV.
    column: Option<(&'static str, Vec<String>)>,
}

impl Example {
    pub fn new(rows: usize) -> Self {
        let features: Vec<_> = (0..rows).map(|row| [2.0, 3.0].map(|step| (row as f32 * step).sin())).collect();
        let label = |row: usize, column: usize| {
            let known = !(row + column).is_multiple_of(3);
            known.then_some(f32::from((features[row][column] > 0.0) != (row == 4)))
        };
        let labels = (0..rows).map(|row| [label(row, 0), label(row, 1)]).collect();
        Self { features, labels, column: None }
    }

    pub fn map(mut self, change: impl Fn(Option<f32>) -> Option<f32>) -> Self {
        self.labels.iter_mut().for_each(|labels| *labels = labels.map(&change));
        self
    }

    pub fn with_column(mut self, name: &'static str, cell: impl Fn(usize) -> String) -> Self {
        self.column = Some((name, (0..self.features.len()).map(cell).collect()));
        self
    }

    fn text(&self) -> String {
        let (name, cells) = self.column.clone().unwrap_or_default();
        let mut text = format!("a,y1,b,y2{}{name}\n", if cells.is_empty() { "" } else { "," });
        for (row, ([a, b], labels)) in self.features.iter().zip(&self.labels).enumerate() {
            let [y1, y2] = labels.map(|label| label.map_or_else(String::new, |label| label.to_string()));
            let further = cells.get(row).map_or_else(String::new, |cell| format!(",{cell}"));
            text += &format!("{a},{y1},{b},{y2}{further}\n");
        }
        text
    }

    pub fn csv(&self, folder: &Path) -> PathBuf {
        let path = folder.join("table.csv");
        fs::write(&path, self.text()).unwrap();
        path
    }

    pub fn csv_gz(&self, folder: &Path) -> PathBuf {
        let path = folder.join("table.csv.gz");
        let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::default());
        encoder.write_all(self.text().as_bytes()).unwrap();
        encoder.finish().unwrap();
        path
    }

    /// Compressed, with the label names as NumPy strings.
    pub fn npz(&self, folder: &Path) -> PathBuf {
        let path = folder.join("table.npz");
        let mut archive = NpzWriter::create(&path).unwrap();
        let rows = self.features.len() as u64;
        add(&mut archive, "X", f32::default_dtype(), &[rows, 2], self.features.concat());
        add(&mut archive, "Y", f32::default_dtype(), &[rows, 2], self.values());
        let names = ["y1", "y2"].map(String::from);
        add(&mut archive, "labels", DType::Plain("<U2".parse().unwrap()), &[2], names);
        path
    }

    pub fn safetensors(&self, folder: &Path) -> PathBuf {
        let path = folder.join("table.safetensors");
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let (x, y) = (bytes(&self.features.concat()), bytes(&self.values()));
        let view = |bytes| TensorView::new(Dtype::F32, vec![self.features.len(), 2], bytes).unwrap();
        let metadata = [("labels".to_owned(), r#"["y1", "y2"]"#.to_owned())].into();
        safetensors::serialize_to_file([("X", view(&x)), ("Y", view(&y))], Some(metadata), &path).unwrap();
        path
    }

    /// X alone, as a SciPy sparse matrix without the zeros.
    pub fn sparse_features(&self, folder: &Path) -> PathBuf {
        let stored =
            |row: &[f32; 2]| (0..2).map(|column| (column, row[column as usize])).filter(|cell| cell.1 != 0.0).collect();
        write_csr(&folder.join("features.npz"), 2, &self.features.iter().map(stored).collect::<Vec<_>>())
    }

    /// Y alone, as a SciPy sparse matrix without the missing labels.
    pub fn sparse_labels(&self, folder: &Path) -> PathBuf {
        let stored =
            |row: &[Option<f32>; 2]| (0..2).filter_map(|column| Some((column, row[column as usize]?))).collect();
        write_csr(&folder.join("labels.npz"), 2, &self.labels.iter().map(stored).collect::<Vec<_>>())
    }

    fn values(&self) -> Vec<f32> {
        self.labels.concat().into_iter().map(|label| label.unwrap_or(f32::NAN)).collect()
    }
}

/// Rows of columns and values.
pub fn write_csr(path: &Path, width: u64, rows: &[Vec<(u64, f32)>]) -> PathBuf {
    let ends = rows.iter().scan(0, |end, row| {
        *end += row.len();
        Some(*end)
    });
    let matrix = Csr {
        shape: [rows.len() as u64, width],
        indptr: [0].into_iter().chain(ends).collect(),
        indices: rows.iter().flatten().map(|cell| cell.0).collect(),
        data: rows.iter().flatten().map(|cell| cell.1).collect(),
    };
    matrix.write_npz(&mut NpzWriter::create(path).unwrap()).unwrap();
    path.to_owned()
}

pub fn add<T: Serialize>(
    archive: &mut NpzWriter<impl std::io::Write + std::io::Seek>,
    name: &str,
    dtype: DType,
    shape: &[u64],
    content: impl IntoIterator<Item = T>,
) {
    let options = FileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut writer = archive.array::<T>(name, options).unwrap().dtype(dtype).shape(shape).begin_nd().unwrap();
    writer.extend(content).unwrap();
    writer.finish().unwrap();
}
