{% snapshot customer_names %}
{{ config(unique_key='id', strategy='check', check_cols=['name']) }}
select * from {{ ref('raw_customers') }}
{% endsnapshot %}
