-- Fiscal years of organizations that were ever closed, softly or not, reopened since or not; and those about which a
-- decision may still be agreed to.
select d.organization_id, array_agg(distinct d.period order by d.period) as years
from ledger.period_decision d
left join ledger.period_state s using (decision_id)
where d.organization_id = any(%(organizations)s::text[])
  and d.period ~ '^\d{4}$'
  and (s.decision_id is not null or d.decided_at > clock_timestamp() - interval '30 days')
group by d.organization_id
order by d.organization_id
