SELECT
  m.metric_name,
  m.window_start,
  m.metric_value,
  'realtime' AS source
FROM realtime_metrics m
WHERE m.window_end > CURRENT_TIMESTAMP - INTERVAL '1' HOUR

UNION ALL

SELECT
  m.metric_name,
  m.date_partition AS window_start,
  m.metric_value,
  'batch' AS source
FROM batch_metrics m
WHERE m.date_partition < CURRENT_DATE - INTERVAL '1' DAY
