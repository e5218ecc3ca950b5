select 1 from
  (select sum(amount) as amount from {{ ref('customers') }}) c,
  (select sum(amount) as amount from {{ ref('raw_payments') }}) p
where c.amount <> p.amount
