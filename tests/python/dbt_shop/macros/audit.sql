{% macro make_audit() %}
create table if not exists {{ target.schema }}.audit (model varchar(50), at timestamp)
{% endmacro %}

{% macro note() %}
insert into {{ target.schema }}.audit values ('{{ this.identifier }}', {{ dbt.current_timestamp() }})
{% endmacro %}
