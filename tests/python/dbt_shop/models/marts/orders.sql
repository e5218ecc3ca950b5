{{ config(materialized='incremental', incremental_strategy='append') }}
select order_id, customer_id, status, ordered_at, amount
from {{ ref('stg_orders') }} left join {{ ref('order_amounts') }} using (order_id)
where ordered_at < timestamp '{{ var("until", "2024-03-01") }}'
{% if is_incremental() %}
  and ordered_at > (select max(ordered_at) from {{ this }})
{% endif %}
