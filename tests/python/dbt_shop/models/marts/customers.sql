with orders as (
  select
    customer_id,
    count(*) as orders,
    min(ordered_at) as first_order,
    max(ordered_at) as last_order,
    sum(coalesce(amount, 0)) as amount
  from {{ ref('stg_orders') }} left join {{ ref('order_amounts') }} using (order_id)
  group by customer_id
)
select
  customer_id, name, joined,
  coalesce(orders, 0) as orders,
  first_order, last_order, amount,
  row_number() over (order by amount desc nulls last, customer_id) as place
from {{ ref('stg_customers') }} left join orders using (customer_id)
