SELECT
  b.metric_name,
  arrow_cast(b.date_partition, 'Timestamp(Microsecond, Some("UTC"))') AS window_start,
  b.metric_value,
  'batch' AS source,
  arrow_cast(b.date_partition, 'Timestamp(Microsecond, Some("UTC"))') + INTERVAL '24' HOUR AS window_end,
  TRUE AS is_final
FROM batch_metrics b

UNION ALL

SELECT
  r.metric_name,
  r.window_start,
  r.metric_value,
  'realtime' AS source,
  r.window_end,
  FALSE AS is_final
FROM realtime_metrics r
WHERE NOT EXISTS (
  SELECT 1
  FROM batch_metrics b
  WHERE b.metric_name = r.metric_name
    AND b.date_partition = arrow_cast(r.window_start, 'Date32')
)
