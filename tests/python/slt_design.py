"""Where Watershed differs from DataFusion's sqllogictest files by design, each with its reason."""

import re

# Files about DataFusion's own plans, settings, formats or Rust API, which no client of ours meets.
OTHERS = """
    spark/** explain*.slt **/*_config.slt set_variable.slt slt_features.slt async_udf.slt metadata.slt arrow_field.slt
    cast_extension_type_metadata.slt range_partitioning.slt create_function.slt encrypted_parquet.slt avro.slt
    arrow_files.slt options.slt parquet_cdc*.slt parquet_max_row_group_bytes.slt parquet_metadata_functions.slt
    statistics_registry.slt repartition*.slt *_spill.slt copy.slt insert_to_external.slt tpch/** imdb.slt
    union_function.slt dictionary_struct.slt run_end_encoded.slt list_view.slt binary_view.slt string/string_view.slt
    string/large_string.slt string/dictionary_utf8.slt dynamic_file.slt file_row_index.slt input_file_name.slt
    information_schema*.slt prepare.slt limit_pruning.slt dynamic_row_group_pruning.slt
    preserve_file_partitioning.slt listing_table_statistics.slt window_limits.slt merge_into.slt
""".split()

# Settings that change no result.
NO_EFFECT = re.compile(
    r"datafusion\.(optimizer|explain|execution\.(target_partitions|batch_size|collect_statistics|parquet\.\w*(pushdown|"
    r"pruning|reorder|index)\w*|coalesce\w*|split\w*|skip_partial\w*|minimum\w*|sort\w*|planning\w*|meta\w*|"
    r"listing\w*|keep_partition\w*|objectstore\w*|perfect\w*|hash\w*|spill\w*|use_row\w*|enable_mig\w*)|runtime|"
    r"catalog\.information_schema|format)",
    re.I,
)

# Statements that are not run: (pattern of the SQL, reason).
NOT_RUN = [
    (r"^\s*explain\b", "plans are the engine's own"),
    (r"^\s*(set|reset|show)\s+(variable\s+)?['\"]?datafusion\.", "settings of DataFusion"),
    (r"^\s*set\s+(time\s*zone|timezone)\b", "settings of DataFusion"),
    (r"^\s*show\s+(all|functions|columns|tables|variable)", "the catalog is another"),
    (r"^\s*copy\b", "COPY is not a statement of Watershed"),
    (r"\binformation_schema\.(df_settings|parameters|routines)", "the catalog is another"),
    (r"^\s*create\s+(function|database|catalog)\b", "no functions and catalogs of users"),
    (r"\b(test_partition_table|my_catalog)\b", "a table that the Rust API makes"),
    (r"^\s*create\b.*\bSTORED\s+AS\s+(arrow|avro|unknown)", "no such format"),
]

# What may be the reason for another result: (pattern of the SQL, pattern of the error or None, reason).
DIFFERENCES = [
    (r"", r"SQLSTATE 22003", "overflow is an error"),
    (r"", r"SQLSTATE 22012", "division by zero is an error"),
    (r"arrow_typeof|arrow_metadata|arrow_field", None, "Arrow's types are not the same"),
    (
        r"arrow_(try_)?cast\s*\(.*'(\w*View|Dictionary|RunEndEncoded|Float16|Large\w+|FixedSize\w+|Time\d+)\b",
        r"SQLSTATE 0A",
        "no such type",
    ),
    (r"\b(now|random|uuid|current_\w+|version)\s*\(", None, "not the same each time"),
]


def excluded(name):
    return any(glob(name, pattern) for pattern in OTHERS)


def glob(name, pattern):
    expression = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.fullmatch(expression, name) is not None


def not_run(sql):
    return next((reason for pattern, reason in NOT_RUN if re.search(pattern, sql, re.I | re.S)), None)


def reason(sql, error):
    """Why a result or an error may be another one; None if there is no reason."""
    for pattern, code, why in DIFFERENCES:
        if re.search(pattern, sql, re.I) and (code is None or (error and re.search(code, error))):
            return why
    return None


def other_table(sql):
    """Why a table that was made has other rows than its file means; None if there is no reason."""
    counted = re.search(r"(?is)^\s*create\b.*(?<!\d)\d{6,}(?!\d).*timestamp", sql)
    return "an integer cast to TIMESTAMP counts microseconds" if counted else None


def cut_anywhere(sql):
    """Whether LIMIT may keep any rows, since nothing orders them."""
    tail = sql[sql.rfind(")") + 1 :]
    return re.search(r"(?i)\blimit\b", tail) is not None and re.search(r"(?i)\border\s+by\b", tail) is None


def setting(sql):
    """The setting of DataFusion that a statement changes, if it may change results; with the value."""
    match = re.match(
        r"(?is)\s*(set|reset)\s+['\"]?(datafusion\.[\w.]+|time\s*zone|timezone)['\"]?\s*(?:=|to)?\s*(.*)$", sql
    )
    if not match or NO_EFFECT.match(match[2]):
        return None
    return match[2].lower(), None if match[1].lower() == "reset" else match[3].strip("'\"; ").lower()
