{{ config(materialized='table') }}
with days as (
  {{ dbt.date_spine('day', "cast('2024-02-28' as date)", "cast('2024-03-03' as date)") }}
)
select cast(date_day as date) as day, count(order_id) as orders
from days left join {{ ref('stg_orders') }} on cast(ordered_at as date) = cast(date_day as date)
group by cast(date_day as date)
