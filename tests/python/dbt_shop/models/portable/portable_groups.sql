select
  customer_id,
  {{ dbt.listagg('status', "','", 'order by ordered_at') }} as statuses,
  {{ dbt.any_value('customer_id') }} as any_customer,
  {{ dbt.bool_or("status = 'returned'") }} as returned
from {{ ref('stg_orders') }}
group by customer_id
