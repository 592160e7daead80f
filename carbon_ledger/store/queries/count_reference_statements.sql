-- Statements are only ever added, so their number tells one state of all reference data from another.
select
    (select count(*) from reference.entity)
    + (select count(*) from reference.ownership)
    + (select count(*) from reference.site)
    + (select count(*) from reference.meter)
    + (select count(*) from reference.vehicle)
    + (select count(*) from reference.supplier)
    + (select count(*) from reference.supplier_item)
    + (select count(*) from reference.instrument)
    + (select count(*) from reference.revenue)
    + (select count(*) from reference.budget)
    + (select count(*) from reference.spend_class)
