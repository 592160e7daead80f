-- Every organization an entity was ever stated to be of.
select access.organizations_of(%(entity_id)s)
