"""What the demo, the tests and the distributed run need around Airflow; no part of any distribution."""
