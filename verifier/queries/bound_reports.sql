-- Reported periods that bind whole reports: the digest that two people agreed to, how many reports they name, and
-- what is kept of these now, a line each. Spelled here anew: the ledger's own function is not asked.
select d.organization_id, d.period, d.decision_id, encode(d.report_sha256, 'hex'), cardinality(d.report_ids),
       k.reports, encode(sha256(convert_to(k.lines, 'UTF8')), 'hex'), k.altered
from ledger.period_state s
join ledger.period_decision d using (decision_id)
cross join lateral (
    select count(*)::integer as reports,
           coalesce(string_agg(
               r.report || E'\t' || r.snapshot_id::text || E'\t' || encode(sha256(convert_to(r.content, 'UTF8')), 'hex')
                   || E'\t' || c.hash || E'\n',
               '' order by r.report collate "C", r.snapshot_id), '') as lines,
           coalesce(string_agg(r.snapshot_id::text, ', ' order by r.snapshot_id)
               filter (where r.content_sha256 <> sha256(convert_to(r.content, 'UTF8'))), '') as altered
    from reports.snapshot r
    cross join lateral (
        select encode(sha256(convert_to(coalesce(string_agg(
                   jsonb_build_array(
                       x.cell_id, x.table_id, x.value::text, x.text_value, x.unit, x.operation, x.concept, x.datapoint,
                       x.year, x.selection, x.inputs, x.entries)::text,
                   E'\n' order by x.cell_id), ''), 'UTF8')), 'hex') as hash
        from reports.cell x
        where x.snapshot_id = r.snapshot_id
    ) c
    where r.snapshot_id = any (d.report_ids)
) k
where cardinality(d.report_ids) > 0
order by d.decision_id
