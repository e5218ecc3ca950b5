{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='append_new_columns',
    schema='marts',
    post_hook='{{ note() }}'
) }}
select customer_id, name {% if is_incremental() %}, joined {% endif %} from {{ ref('stg_customers') }} where customer_id < 3
