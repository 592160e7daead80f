-- All kinds in one statement, and so as of one moment. Text, so that no number passes through JSON's
-- floating point.
select s.kind, s.statement::text, s.recorded_at
from (
    select 'entity' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.entity t
    union all
    select 'ownership' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.ownership t
    union all
    select 'site' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.site t
    union all
    select 'meter' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.meter t
    union all
    select 'vehicle' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.vehicle t
    union all
    select 'supplier' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.supplier t
    union all
    select 'supplier_item' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.supplier_item t
    union all
    select 'instrument' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.instrument t
    union all
    select 'revenue' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.revenue t
    union all
    select 'budget' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.budget t
    union all
    select 'disclosure' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.disclosure t
    union all
    select 'report_schedule' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.report_schedule t
    union all
    select 'holiday' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.holiday t
    union all
    select 'spend_class' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.spend_class t
    union all
    select 'expected_source' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.expected_source t
    union all
    select 'control_total' as kind, to_jsonb(t) - 'recorded_at' as statement, t.recorded_at
    from reference.control_total t
) as s
where s.kind = any(%(kinds)s)
order by s.recorded_at, array_position(%(kinds)s, s.kind), s.statement
