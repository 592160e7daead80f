-- What is kept of reports, and how many bytes of it: the size of the tables, indices and long texts included.
select (select count(*) from reports.snapshot) as snapshots,
       (select count(distinct e.snapshot_id) from reports.esrs_e1 e) as row_snapshots,
       (select count(*) from reports.snapshot_retired) as retired,
       pg_total_relation_size('reports.snapshot') + pg_total_relation_size('reports.cell')
           + pg_total_relation_size('reports.esrs_e1') as size_bytes
